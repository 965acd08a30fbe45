"""One loaded version of a model: a SavedModel in a session, as TensorFlow Serving runs it.

The version-1 loader and a Session of its own graph are what TensorFlow Serving uses; a model that
only works under ``tf.saved_model.load`` fails here as it would fail there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from tunesmith.serving.contract import vocabulary_size
from tunesmith.serving.errors import ModelNotLoadable
from tunesmith.serving.runtime import config_pb2, tf
from tunesmith.serving.status import from_tensorflow

_INVALID_ARGUMENT = 3
_SERVE = "serve"

# What the loader was seen to raise on missing, truncated, random and foreign files.
_LOAD_ERRORS = (OSError, ValueError, RuntimeError, KeyError, TypeError, DecodeError)


def _session_config(inter_op: int, intra_op: int) -> config_pb2.ConfigProto:
    config = config_pb2.ConfigProto(
        inter_op_parallelism_threads=inter_op, intra_op_parallelism_threads=intra_op
    )
    if not tf.config.list_physical_devices("GPU"):
        # The graph's optimizer finds nothing to speed up in a written-out CPU graph of thousands of
        # operations, and looks for seconds before the first answer. It is what takes a GPU's half.
        config.graph_options.rewrite_options.disable_meta_optimizer = True
    return config


class Servable:
    """A SavedModel that answers, safe to call from many threads.

    Attributes:
        version: its number.
        signatures: every SignatureDef of the ``serve`` graph, by name.
        vocabulary: V, where the model keeps the composer's contract, else None.
    """

    def __init__(self, version: int, path: Path, *, inter_op: int, intra_op: int) -> None:
        """Load version `version` from the folder `path`.

        Args:
            inter_op: operations run side by side; 0 lets TensorFlow choose.
            intra_op: threads inside one operation; 0 lets TensorFlow choose.

        Raises:
            ModelNotLoadable: `path` holds no SavedModel, or a broken one.
        """
        self.version = version
        self._graph = tf.Graph()
        self._session = tf.compat.v1.Session(
            graph=self._graph,
            config=_session_config(inter_op, intra_op),
        )
        try:
            with self._graph.as_default():
                meta_graph = tf.compat.v1.saved_model.loader.load(
                    self._session, [_SERVE], str(path)
                )
        except tf.errors.OpError as error:
            self._session.close()
            raise ModelNotLoadable(_one_line(error.message), error.error_code) from error
        except _LOAD_ERRORS as error:
            self._session.close()
            raise ModelNotLoadable(_one_line(str(error)), _INVALID_ARGUMENT) from error
        self.signatures: Mapping[str, Any] = dict(meta_graph.signature_def)
        self.vocabulary = vocabulary_size(self.signatures)
        self._callables: dict[tuple[str, tuple[str, ...]], Callable[..., list[NDArray[Any]]]] = {}
        self._lock = threading.Lock()

    def run(
        self, signature_name: str, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]
    ) -> dict[str, NDArray[Any]]:
        """Run a signature.

        Args:
            signature_name: a key of `signatures`.
            inputs: an array for each of the signature's inputs, of its dtype.
            outputs: the names of the outputs to compute.

        Returns:
            An array for each of `outputs`; strings are object arrays of bytes.

        Raises:
            RequestError: the graph failed; code and message are TensorFlow's.
        """
        wanted = tuple(sorted(outputs))
        call = self._callable(signature_name, wanted)
        try:
            values = call(*(inputs[alias] for alias in sorted(inputs)))
        except tf.errors.OpError as error:
            raise from_tensorflow(error) from error
        return dict(zip(wanted, values, strict=True))

    def _callable(
        self, signature_name: str, outputs: tuple[str, ...]
    ) -> Callable[..., list[NDArray[Any]]]:
        """Return the compiled call of a signature for these outputs, made at its first use."""
        key = (signature_name, outputs)
        found = self._callables.get(key)
        if found is not None:
            return found
        signature = self.signatures[signature_name]
        with self._lock:
            if key not in self._callables:
                self._callables[key] = self._make_callable(signature, outputs)
            return self._callables[key]

    def _make_callable(
        self, signature: Any, outputs: tuple[str, ...]
    ) -> Callable[..., list[NDArray[Any]]]:
        options = config_pb2.CallableOptions(
            feed=[signature.inputs[alias].name for alias in sorted(signature.inputs)],
            fetch=[signature.outputs[alias].name for alias in outputs],
        )
        # The public make_callable falls back to Session.run when there is anything to feed.
        call: Callable[..., list[NDArray[Any]]] = self._session._make_callable_from_options(options)
        return call

    def close(self) -> None:
        """Free the session; the caller sees to it that nothing runs any more."""
        # A callable releases its handle through the session, so it has to go first.
        self._callables.clear()
        self._session.close()


def _one_line(message: str) -> str:
    return " ".join(message.split())
