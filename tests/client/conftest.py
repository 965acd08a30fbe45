"""A real gRPC server that speaks the contract as a test wants it, wrongly where it wants it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import ExitStack
from dataclasses import dataclass, field

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from tunesmith.client.protos import tunesmith_wire_pb2 as wire
from tunesmith.client.tensors import to_array

Answer = dict[str, wire.TensorProto]


def floats(values: NDArray[np.floating]) -> wire.TensorProto:
    shape = wire.TensorShapeProto(dim=[{"size": size} for size in values.shape])
    return wire.TensorProto(
        dtype=wire.DT_FLOAT, tensor_shape=shape, float_val=values.ravel().tolist()
    )


def strings(values: list[str]) -> wire.TensorProto:
    shape = wire.TensorShapeProto(dim=[{"size": len(values)}])
    return wire.TensorProto(
        dtype=wire.DT_STRING, tensor_shape=shape, string_val=[each.encode() for each in values]
    )


@dataclass
class Contract:
    """The server's answers; a test replaces a part of it.

    Its model prefers the token after the window's last one, so that greedy songs are known.
    """

    frames: list[str] = field(default_factory=lambda: ["e", "60", "62", "64", "60,64,67"])
    window: int = 6
    version: int = 3
    older: tuple[int, ...] = ()
    most_windows: int = 1000
    missing_signature: str = ""
    probabilities: Callable[[NDArray[np.int32]], NDArray[np.floating]] | None = None
    settings: Callable[[], Answer] = field(
        default_factory=lambda: lambda: {"frames_per_second": floats(np.full(1, 8.0))}
    )
    refusals: list[grpc.StatusCode] = field(default_factory=list)
    windows: list[NDArray[np.int32]] = field(default_factory=list)
    vocabulary_calls: list[int] = field(default_factory=list)

    def predict(
        self, request: wire.PredictRequest, context: grpc.ServicerContext
    ) -> wire.PredictResponse:
        self._refuse(request.model_spec, context)
        tokens = to_array("input", next(iter(request.inputs.values())))
        match request.model_spec.signature_name:
            case "vocabulary":
                self.vocabulary_calls.append(len(tokens))
                outputs = {"frames": strings([self.frames[token] for token in tokens])}
            case "settings":
                outputs = self.settings()
            case _:
                if len(tokens) > self.most_windows:
                    context.abort(
                        grpc.StatusCode.INVALID_ARGUMENT,
                        f"Task size {len(tokens)} is larger than maximum input batch size",
                    )
                self.windows.append(tokens)
                answer = self.probabilities or self.next_token
                outputs = {"probabilities": floats(answer(tokens))}
        response = wire.PredictResponse(model_spec=request.model_spec, outputs=outputs)
        response.model_spec.version.value = self._version(request.model_spec)
        return response

    def metadata(
        self, request: wire.GetModelMetadataRequest, context: grpc.ServicerContext
    ) -> wire.GetModelMetadataResponse:
        self._refuse(request.model_spec, context)

        def info(width: int) -> wire.TensorInfo:
            dims = [wire.TensorShapeProto.Dim(size=size) for size in (-1, width)]
            return wire.TensorInfo(tensor_shape=wire.TensorShapeProto(dim=dims))

        signatures = {
            "serving_default": wire.SignatureDef(
                inputs={"tokens": info(self.window)},
                outputs={"probabilities": info(len(self.frames))},
            ),
            "vocabulary": wire.SignatureDef(),
            "settings": wire.SignatureDef(),
        }
        signatures.pop(self.missing_signature, None)
        response = wire.GetModelMetadataResponse(model_spec=request.model_spec)
        response.model_spec.version.value = self._version(request.model_spec)
        packed = response.metadata["signature_def"]
        packed.type_url = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
        packed.value = wire.SignatureDefMap(signature_def=signatures).SerializeToString()
        return response

    def status(
        self, request: wire.GetModelStatusRequest, context: grpc.ServicerContext
    ) -> wire.GetModelStatusResponse:
        self._refuse(request.model_spec, context)
        states = wire.ModelVersionStatus
        return wire.GetModelStatusResponse(
            model_version_status=[
                states(version=self.version, state=states.AVAILABLE),
                states(version=self.version - 1, state=states.END),
            ]
        )

    def next_token(self, tokens: NDArray[np.int32]) -> NDArray[np.floating]:
        size = len(self.frames)
        rows = np.full((len(tokens), size), 0.1 / (size - 1))
        rows[np.arange(len(tokens)), (tokens[:, -1] + 1) % size] = 0.9
        return rows

    def _refuse(self, spec: wire.ModelSpec, context: grpc.ServicerContext) -> None:
        if self.refusals:
            context.abort(self.refusals.pop(0), "as the test wants it")
        if self._version(spec) not in (self.version, *self.older):
            context.abort(grpc.StatusCode.NOT_FOUND, "Servable not found for request")

    def _version(self, spec: wire.ModelSpec) -> int:
        return spec.version.value if spec.HasField("version") else self.version


def _handlers(contract: Contract) -> list[grpc.GenericRpcHandler]:
    def handler(method: Callable[..., object], request: type) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(
            method, request.FromString, lambda response: response.SerializeToString()
        )

    return [
        grpc.method_handlers_generic_handler(
            "tensorflow.serving.PredictionService",
            {
                "Predict": handler(contract.predict, wire.PredictRequest),
                "GetModelMetadata": handler(contract.metadata, wire.GetModelMetadataRequest),
            },
        ),
        grpc.method_handlers_generic_handler(
            "tensorflow.serving.ModelService",
            {"GetModelStatus": handler(contract.status, wire.GetModelStatusRequest)},
        ),
    ]


@pytest.fixture
def contract() -> Contract:
    return Contract()


@pytest.fixture
def serve(contract: Contract) -> Iterator[Callable[..., str]]:
    """Start a server of `contract`, plain, with TLS or on a unix socket; return its address."""
    with ExitStack() as stack:

        def start(credentials: grpc.ServerCredentials | None = None, socket: str = "") -> str:
            server = grpc.server(futures.ThreadPoolExecutor(4), handlers=_handlers(contract))
            host = f"unix:{socket}" if socket else "127.0.0.1:0"
            port = (
                server.add_insecure_port(host)
                if credentials is None
                else server.add_secure_port(host, credentials)
            )
            server.start()
            stack.callback(lambda: server.stop(None).wait())
            if socket:
                return host
            return f"127.0.0.1:{port}" if credentials is None else f"localhost:{port}"

        yield start


@pytest.fixture
def address(serve: Callable[..., str]) -> str:
    """The address of a plain server of `contract`."""
    return serve()
