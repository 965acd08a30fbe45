"""A call of a session with the same feeds and fetches each time, on either kind of threads.

``Session.run`` looks its feeds and fetches up and copies them, at a quarter of a millisecond a
call; this is the step of it that calls TensorFlow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray
from tensorflow.python.client import pywrap_tf_session

from tunesmith.serving.runtime import config_pb2

_IN_THIS_THREAD = pywrap_tf_session.TF_NewBufferFromString(
    config_pb2.RunOptions(inter_op_thread_pool=-1).SerializeToString()
)


class SessionCall:
    """Calls a session; safe to use from many threads until the session is closed."""

    def __init__(self, session: Any, feeds: Sequence[str], fetches: Sequence[str]) -> None:
        """Look tensors up.

        Args:
            session: a version-1 session; its graph is not extended afterwards.
            feeds: the names of the tensors to feed.
            fetches: the names of the tensors to fetch.
        """
        graph = session.graph
        self._session = session
        self._feeds = [graph.get_tensor_by_name(name)._as_tf_output() for name in feeds]
        self._fetches = [graph.get_tensor_by_name(name)._as_tf_output() for name in fetches]

    def __call__(self, values: Sequence[NDArray[Any]], *, spread: bool) -> list[NDArray[Any]]:
        """Return an array for each fetch.

        Args:
            values: an array for each feed, of its dtype.
            spread: run operations side by side, in the session's threads, which answers sooner
                where nothing else is to be done. False runs them one by one in this thread, or, for
                what a batching kernel computes, in its thread: less work in all, and the other
                cores are left to other calls.

        Raises:
            tf.errors.OpError: the graph failed.
        """
        answers: list[NDArray[Any]] = self._session._call_tf_sessionrun(
            None if spread else _IN_THIS_THREAD,
            dict(zip(self._feeds, values, strict=True)),
            self._fetches,
            [],
            None,
        )
        return answers
