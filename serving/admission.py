"""Load shedding: requests above a limit are refused at once instead of waiting in a long queue.

They get RESOURCE_EXHAUSTED with the message of TensorFlow Serving's gRPC server
(grpc/src/cpp/server/server_cc.cc), whose limit is --grpc_max_threads. Health checks and reflection
have their own threads and are not counted, so a busy server still reports that it is healthy.
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
    """Thread pool for requests that counts the requests in flight (running or waiting)."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads, thread_name_prefix="request")
        self._count = threading.Lock()
        self.in_flight = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Queue a request for one of the threads."""
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


class LoadShedding(grpc.GenericRpcHandler):
    """gRPC handlers with a limit on the number of requests in flight.

    Attributes:
        refused: number of requests refused so far.
    """

    def __init__(
        self, handlers: tuple[grpc.GenericRpcHandler, ...], threads: RequestThreads, limit: int
    ) -> None:
        """Wrap `handlers`.

        Args:
            handlers: the handlers of the services.
            threads: the thread pool of the server.
            limit: maximum number of requests in flight.
        """
        self._handlers = handlers
        self._threads = threads
        self._limit = limit
        self.refused = 0
        # gRPC calls a streaming method before the request message has arrived. So a refusal does
        # not wait for a large message from a slow client.
        self._refusal = grpc.stream_unary_rpc_method_handler(
            run_by(ThreadPoolExecutor(1, thread_name_prefix="refusal"), self._refuse)
        )

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the handler of a method, or the refusal; gRPC calls this from a single thread."""
        for each in self._handlers:
            found = each.service(handler_call_details)
            if found is not None:
                return self._refusal if self._threads.in_flight >= self._limit else found
        return None

    def _refuse(self, _requests: Any, context: grpc.ServicerContext) -> None:
        self.refused += 1
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, EXHAUSTED)


def run_by(threads: ThreadPoolExecutor, behaviour: Behaviour) -> Behaviour:
    """Wrap `behaviour` so that gRPC runs it in `threads` instead of the server's thread pool."""

    def behave(request: Any, context: grpc.ServicerContext) -> Any:
        return behaviour(request, context)

    behave.experimental_thread_pool = threads  # type: ignore[attr-defined]
    return behave
