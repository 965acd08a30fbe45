"""grpc.health.v1 for the embedded server; open Watch streams do not delay a stop."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from grpc_health.v1 import health, health_pb2

from tunesmith.serving.admission import run_by

SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

Send = Callable[[Any], None]

# A thread of its own, because a server that is too busy for another request is still healthy. All
# servers of a process share it: the library keeps the threads of Watch streams at the class.
_THREADS = ThreadPoolExecutor(1, thread_name_prefix="health")


class Health(health.HealthServicer):
    """Health service: SERVING while the server runs; open Watch streams are ended at the stop.

    gRPC's graceful stop waits for all open calls, and a client can keep a Watch open for ever.
    """

    def __init__(self, services: tuple[str, ...]) -> None:
        """Report health for the server as a whole and for each of `services`.

        Args:
            services: full names of gRPC services.
        """
        super().__init__(experimental_thread_pool=_THREADS)
        self.Check = run_by(_THREADS, super().Check)
        self._sends: set[Send] = set()
        for service in services:
            self.set(service, health_pb2.HealthCheckResponse.SERVING)

    def Watch(self, request: Any, context: Any, send_response_callback: Send | None = None) -> Any:
        """Stream the status of a service: the current status, then each change."""
        if send_response_callback is not None:
            self._sends.add(send_response_callback)
            context.add_callback(lambda: self._sends.discard(send_response_callback))
        return super().Watch(request, context, send_response_callback)

    def end(self) -> None:
        """Report NOT_SERVING from now on; Watch streams receive it and end."""
        self.enter_graceful_shutdown()
        for send in tuple(self._sends):
            send(None)
