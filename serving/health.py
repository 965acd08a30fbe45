"""grpc.health.v1 for the embedded server, with watchers that do not hold up a stop."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from grpc_health.v1 import health, health_pb2

from tunesmith.serving.admission import run_by

SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

Send = Callable[[Any], None]

# A server that is too busy for another request is healthy, and has to be able to say so. Shared by
# the servers of a process, because the library keeps the watchers' threads at the class.
_THREADS = ThreadPoolExecutor(1, thread_name_prefix="health")


class Health(health.HealthServicer):
    """SERVING while started; Watch streams are ended at the stop.

    gRPC's graceful stop waits for every open call, and a Watch is open as long as its client likes.
    """

    def __init__(self, services: tuple[str, ...]) -> None:
        """Serve health for these services.

        Args:
            services: the service names that answer for themselves, beside the server as a whole.
        """
        super().__init__(experimental_thread_pool=_THREADS)
        self.Check = run_by(_THREADS, super().Check)
        self._sends: set[Send] = set()
        for service in services:
            self.set(service, health_pb2.HealthCheckResponse.SERVING)

    def Watch(self, request: Any, context: Any, send_response_callback: Send | None = None) -> Any:
        """Stream the state of a service, now and at each change."""
        if send_response_callback is not None:
            self._sends.add(send_response_callback)
            context.add_callback(lambda: self._sends.discard(send_response_callback))
        return super().Watch(request, context, send_response_callback)

    def end(self) -> None:
        """Say NOT_SERVING from here on, to watchers as their last word."""
        self.enter_graceful_shutdown()
        for send in tuple(self._sends):
            send(None)
