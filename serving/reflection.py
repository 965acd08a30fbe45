"""gRPC reflection: lists the services for generic clients such as grpcurl.

It is registered as ``grpc.reflection.v1`` and ``v1alpha``, whose messages are the same.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

# Imported to register their descriptors, which reflection returns, in the descriptor pool.
from tensorflow_serving.apis import model_service_pb2, prediction_service_pb2

from tunesmith.serving.admission import run_by

SERVICES = ("grpc.reflection.v1.ServerReflection", reflection.SERVICE_NAME)
DESCRIBED = tuple(
    service.full_name
    for file in (prediction_service_pb2, model_service_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
)
"""Names of TensorFlow Serving's services whose descriptors are registered."""

# Threads of their own: a client can keep its stream open without using up the request threads.
_STREAMS = 8


class Reflection(reflection.ReflectionServicer):
    """Reflection service; open streams are ended when the server stops."""

    def __init__(self, services: Iterable[str]) -> None:
        """Describe `services` and the reflection service itself."""
        # The library knows only v1alpha; the descriptor of v1 differs only in its name.
        super().__init__([*services, reflection.SERVICE_NAME])
        self._open: set[grpc.ServicerContext] = set()
        self._lock = threading.Lock()

    def ServerReflectionInfo(
        self, request_iterator: Iterator[Any], context: grpc.ServicerContext
    ) -> Iterator[Any]:
        """Answer the requests of one stream until the client or the server ends it."""
        with self._lock:
            self._open.add(context)
        try:
            yield from super().ServerReflectionInfo(request_iterator, context)
        finally:
            with self._lock:
                self._open.discard(context)

    def end(self) -> None:
        """Cancel open streams, which would delay a graceful stop."""
        with self._lock:
            contexts = tuple(self._open)
        for context in contexts:
            context.cancel()

    def handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """Return the handlers to register with a gRPC server."""
        threads = ThreadPoolExecutor(_STREAMS, thread_name_prefix="reflection")
        method = grpc.stream_stream_rpc_method_handler(
            run_by(threads, self.ServerReflectionInfo),
            request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
            response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
        return tuple(
            grpc.method_handlers_generic_handler(service, {"ServerReflectionInfo": method})
            for service in SERVICES
        )
