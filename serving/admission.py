"""Which requests a server takes on: as many as it can answer soon, and no queue without bound.

One more is refused at once with RESOURCE_EXHAUSTED, in the words of TensorFlow Serving's gRPC
(grpc/src/cpp/server/server_cc.cc), whose limit is --grpc_max_threads. Health and reflection are
answered by threads of their own and are not counted: a busy server is not a dead one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import grpc

EXHAUSTED = "Server Threadpool Exhausted"

Behaviour = Callable[..., Any]


class RequestThreads(ThreadPoolExecutor):
    """Threads for requests, which know how many of them are being answered or wait."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads, thread_name_prefix="request")
        self._count = threading.Lock()
        self.in_flight = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a request's answer in one of the threads, in its turn."""
        with self._count:
            self.in_flight += 1
        try:
            future = super().submit(fn, *args, **kwargs)
        except BaseException:
            self._done(None)
            raise
        future.add_done_callback(self._done)
        return future

    def _done(self, _future: object) -> None:
        with self._count:
            self.in_flight -= 1


class Admission(grpc.GenericRpcHandler):
    """gRPC handlers behind a limit on the requests in flight.

    Attributes:
        refused: how many requests were refused so far.
    """

    def __init__(
        self, handlers: tuple[grpc.GenericRpcHandler, ...], threads: RequestThreads, limit: int
    ) -> None:
        """Stand before `handlers`.

        Args:
            threads: what the server runs them on.
            limit: requests in flight at most.
        """
        self._handlers = handlers
        self._threads = threads
        self._limit = limit
        self.refused = 0
        # A method that takes a stream is called without waiting for the request's message, which a
        # slow client may be long in sending, and which nobody is going to read.
        self._refusal = grpc.stream_unary_rpc_method_handler(
            run_by(ThreadPoolExecutor(1, thread_name_prefix="refusal"), self._refuse)
        )

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the handler of a method, or the refusal; gRPC calls it from one thread."""
        for each in self._handlers:
            found = each.service(handler_call_details)
            if found is not None:
                return self._refusal if self._threads.in_flight >= self._limit else found
        return None

    def _refuse(self, _requests: Any, context: grpc.ServicerContext) -> None:
        self.refused += 1
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, EXHAUSTED)


def run_by(threads: ThreadPoolExecutor, behaviour: Behaviour) -> Behaviour:
    """Return `behaviour` as one that gRPC runs by `threads` instead of the server's own."""

    def behave(request: Any, context: grpc.ServicerContext) -> Any:
        return behaviour(request, context)

    behave.experimental_thread_pool = threads  # type: ignore[attr-defined]
    return behave
