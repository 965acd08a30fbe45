"""One loaded version of a model: a SavedModel in a session, as TensorFlow Serving runs it.

The version-1 loader and a Session of its own graph are what TensorFlow Serving uses; a model that
only works under ``tf.saved_model.load`` fails here as it would fail there.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from tunesmith.serving.batching import BatchedSignature, add_batched
from tunesmith.serving.batching_parameters import BatchingParameters
from tunesmith.serving.contract import vocabulary_size
from tunesmith.serving.errors import ModelNotLoadable
from tunesmith.serving.runtime import config_pb2, tf
from tunesmith.serving.session_call import SessionCall
from tunesmith.serving.status import RequestError, from_tensorflow

_INVALID_ARGUMENT = 3
_SERVE = "serve"

# The line that TensorFlow adds to an error for the operation of serving/batching.py.
_KERNEL = re.compile(r"\n\t \[\[(\{\{node )?batched_\w+/BatchFunction(\}\})?\]\]$")


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

    def __init__(
        self,
        version: int,
        path: Path,
        *,
        inter_op: int,
        intra_op: int,
        batching: BatchingParameters | None = None,
    ) -> None:
        """Load version `version` from the folder `path`.

        Args:
            inter_op: operations run side by side; 0 lets TensorFlow choose.
            intra_op: threads inside one operation; 0 lets TensorFlow choose.
            batching: how requests are computed together; None computes each by itself.

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
        has_gpu = bool(tf.config.list_physical_devices("GPU"))
        self._batched: dict[str, BatchedSignature] = {}
        if batching is not None:
            self._batched = add_batched(
                self._graph, self.signatures, batching, capture_variables=has_gpu
            )
        # Calls do not extend the session's graph by themselves.
        self._session._extend_graph()
        self._calls: dict[tuple[str, tuple[str, ...], bool], SessionCall] = {}
        # On a GPU a thread only hands operations over, and there is nothing to leave to others.
        self._spread_batches = has_gpu
        self._running = 0
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
            RequestError: the graph failed, or the batching kernel's queue is full (UNAVAILABLE) or
                the request longer than it takes (INVALID_ARGUMENT); the words are TensorFlow's.
        """
        wanted = tuple(sorted(outputs))
        batched = self._batched.get(signature_name)
        if batched is not None and not batched.takes(inputs):
            batched = None
        if batched is not None and batched.rows(inputs) == 0:
            return dict(zip(wanted, batched.no_rows(wanted), strict=True))
        call = self._call(signature_name, wanted, batched)
        arrays = [inputs[alias] for alias in sorted(inputs)]
        try:
            if batched is None:
                values = call(arrays, spread=True)
            else:
                with self._beside_others() as alone:
                    values = call(arrays, spread=alone or self._spread_batches)
        except tf.errors.OpError as error:
            refused = from_tensorflow(error)
            # As if the operation in front were not there.
            raise RequestError(refused.code, _KERNEL.sub("", refused.message)) from error
        return dict(zip(wanted, values, strict=True))

    @contextmanager
    def _beside_others(self) -> Iterator[bool]:
        """Count a batched call, and yield whether it is the only one."""
        with self._lock:
            self._running += 1
            alone = self._running == 1
        try:
            yield alone
        finally:
            with self._lock:
                self._running -= 1

    def _call(
        self, signature_name: str, outputs: tuple[str, ...], batched: BatchedSignature | None
    ) -> SessionCall:
        """Return the call of a signature for these outputs, prepared at its first use."""
        key = (signature_name, outputs, batched is not None)
        found = self._calls.get(key)
        if found is None:
            if batched is not None:
                feeds, fetches = batched.feeds, batched.fetches
            else:
                signature = self.signatures[signature_name]
                feeds, fetches = _names(signature.inputs), _names(signature.outputs)
            found = self._calls[key] = SessionCall(
                self._session,
                [feeds[alias] for alias in sorted(feeds)],
                [fetches[alias] for alias in outputs],
            )
        return found

    def close(self) -> None:
        """Free the session; the caller sees to it that nothing runs any more."""
        self._session.close()


def _names(infos: Mapping[str, Any]) -> dict[str, str]:
    return {alias: info.name for alias, info in infos.items()}


def _one_line(message: str) -> str:
    return " ".join(message.split())
