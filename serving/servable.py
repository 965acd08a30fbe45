"""One loaded model version: a SavedModel in a session, as in TensorFlow Serving.

Like TensorFlow Serving, it uses the version-1 loader and a Session. So a model that only works
with ``tf.saved_model.load`` fails here too.
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

# The line that TensorFlow adds to an error message for the operation of serving/batching.py.
_KERNEL = re.compile(r"\n\t \[\[(\{\{node )?batched_\w+/BatchFunction(\}\})?\]\]$")


# Exceptions of the loader for missing, truncated, random and foreign files, found by trying.
_LOAD_ERRORS = (OSError, ValueError, RuntimeError, KeyError, TypeError, DecodeError)


def _session_config(inter_op: int, intra_op: int) -> config_pb2.ConfigProto:
    config = config_pb2.ConfigProto(
        inter_op_parallelism_threads=inter_op, intra_op_parallelism_threads=intra_op
    )
    if not tf.config.list_physical_devices("GPU"):
        # The graph optimizer takes seconds on the unrolled CPU graph of thousands of operations and
        # does not make it faster. On a GPU it is needed: it selects the cuDNN branch of the graph.
        config.graph_options.rewrite_options.disable_meta_optimizer = True
    return config


class Servable:
    """A loaded SavedModel; its methods may be called from many threads.

    Attributes:
        version: version number.
        signatures: SignatureDefs of the ``serve`` graph, by name.
        vocabulary: vocabulary size V if the model follows the composer's contract, else None.
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
            version: version number.
            path: version folder.
            inter_op: operations run in parallel; 0 lets TensorFlow choose.
            intra_op: threads within one operation; 0 lets TensorFlow choose.
            batching: batching parameters; None computes each request separately.

        Raises:
            ModelNotLoadable: `path` contains no SavedModel, or a damaged one.
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
        # SessionCall does not extend the session's graph, as Session.run would.
        self._session._extend_graph()
        self._calls: dict[tuple[str, tuple[str, ...], bool], SessionCall] = {}
        # On a GPU a thread only launches operations, so spreading them takes no cores from others.
        self._spread_batches = has_gpu
        self._running = 0
        self._lock = threading.Lock()

    def run(
        self, signature_name: str, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]
    ) -> dict[str, NDArray[Any]]:
        """Run a signature.

        Args:
            signature_name: a key of `signatures`.
            inputs: one array for each input of the signature, of its dtype.
            outputs: names of the outputs to compute.

        Returns:
            One array for each of `outputs`; strings are object arrays of bytes.

        Raises:
            RequestError: the graph failed, the queue of the batching kernel is full (UNAVAILABLE),
                or the request has too many rows (INVALID_ARGUMENT). The message is TensorFlow's.
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
                with self._count_batched_call() as alone:
                    values = call(arrays, spread=alone or self._spread_batches)
        except tf.errors.OpError as error:
            refused = from_tensorflow(error)
            # Without the line about the batching operation, as in an unbatched error.
            raise RequestError(refused.code, _KERNEL.sub("", refused.message)) from error
        return dict(zip(wanted, values, strict=True))

    @contextmanager
    def _count_batched_call(self) -> Iterator[bool]:
        """Count the batched calls that run; yield True if this is the only one."""
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
        """Return the cached session call for a signature and its outputs."""
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
        """Close the session; the caller must make sure that no request is running."""
        self._session.close()


def _names(infos: Mapping[str, Any]) -> dict[str, str]:
    return {alias: info.name for alias, info in infos.items()}


def _one_line(message: str) -> str:
    return " ".join(message.split())
