"""gRPC reflection: a generic client, such as grpcurl, learns the services from the server itself.

Under both names that clients ask for, ``grpc.reflection.v1`` and ``v1alpha``, whose messages are
the same.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

# Imported for what they leave in the descriptor pool: the descriptions that reflection hands out.
from tensorflow_serving.apis import model_service_pb2, prediction_service_pb2

from tunesmith.serving.admission import run_by

SERVICES = ("grpc.reflection.v1.ServerReflection", reflection.SERVICE_NAME)
DESCRIBED = tuple(
    service.full_name
    for file in (prediction_service_pb2, model_service_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
)
"""The services of TensorFlow Serving whose descriptions are at hand."""

# A client may keep its stream open for as long as it likes; it takes none of the requests' threads.
_STREAMS = 8


class Reflection(reflection.ReflectionServicer):
    """Descriptions of services; open streams are ended at the server's stop."""

    def __init__(self, services: Iterable[str]) -> None:
        """Describe `services`, and reflection itself."""
        # The library knows v1alpha alone; v1's description is the same but for its name.
        super().__init__([*services, reflection.SERVICE_NAME])
        self._open: set[grpc.ServicerContext] = set()
        self._lock = threading.Lock()

    def ServerReflectionInfo(
        self, request_iterator: Iterator[Any], context: grpc.ServicerContext
    ) -> Iterator[Any]:
        """Answer the questions of one client, until it or the server ends the stream."""
        with self._lock:
            self._open.add(context)
        try:
            yield from super().ServerReflectionInfo(request_iterator, context)
        finally:
            with self._lock:
                self._open.discard(context)

    def end(self) -> None:
        """End the streams that clients keep open, which would hold up a graceful stop."""
        with self._lock:
            still = tuple(self._open)
        for context in still:
            context.cancel()

    def handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """Return what a gRPC server registers."""
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
