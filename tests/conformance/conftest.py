"""The server under test, and a client of it that shares no code with the product's.

The address is ``TUNESMITH_SERVER`` (``host:port``) where that is set: any server of any composer.
Else an embedded server of a small network, exported as the pipeline exports one, is started. The
client is grpcio, tensorflow-serving-api's messages and TensorFlow's own reading of tensors.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

# An empty batch never completes in a TensorFlow Serving that batches; a call without a deadline
# would wait for ever.
DEADLINE = 60.0
EMBEDDED_RECEIVE_LIMIT = 2**20
EMBEDDED_POLL_SECONDS = 0.1

Answer = dict[str, NDArray[Any]]
Refusal = tuple[grpc.StatusCode, str]


@dataclass(frozen=True)
class Place:
    """Where the server is, and what of it may be changed.

    Attributes:
        address: ``host:port``.
        model: the model's name in requests.
        receive_limit: bytes of the longest request that it takes; None if not known.
        folder: the base path of the model, as the server sees it, if tests may change what is in
            it and reload the server's configuration.
        foreign: whether it was named by TUNESMITH_SERVER.
    """

    address: str
    model: str
    receive_limit: int | None
    folder: Path | None
    foreign: bool


class Server:
    """A client of the server under test, with what its metadata says of the composer.

    Attributes:
        place: where it is.
        version: the version that answers.
        signatures: SignatureDefs by name.
        window: the length of a window.
        size: V, the number of tokens.
        prediction: the stub of PredictionService.
        models: the stub of ModelService.
        channel: what both stubs call through.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.channel = grpc.insecure_channel(
            place.address, options=[("grpc.max_receive_message_length", -1)]
        )
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)
        metadata = self.metadata()
        self.version = metadata.model_spec.version.value
        packed = get_model_metadata_pb2.SignatureDefMap()
        assert metadata.metadata["signature_def"].Unpack(packed)
        self.signatures: dict[str, Any] = dict(packed.signature_def)
        default = self.signatures["serving_default"]
        self.window = default.inputs["tokens"].tensor_shape.dim[1].size
        self.size = default.outputs["probabilities"].tensor_shape.dim[1].size

    def windows(self, batch: int, seed: int = 0) -> NDArray[np.int32]:
        """Return int32 [batch, window] of tokens that the model knows; each row is another."""
        random = np.random.default_rng(seed)
        return random.integers(0, self.size, (batch, self.window)).astype(np.int32)

    def request(self, signature: str = "", /, **inputs: Any) -> Any:
        """Return a PredictRequest; an input that is no TensorProto is an array of its dtype."""
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self.place.model
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            proto = value if hasattr(value, "tensor_shape") else tf.make_tensor_proto(value)
            request.inputs[name].CopyFrom(proto)
        return request

    def predict(self, request: Any) -> Any:
        """Return the PredictResponse to `request`."""
        return self.prediction.Predict(request, timeout=DEADLINE)

    def ask(self, signature: str = "", /, **inputs: Any) -> Answer:
        """Return a signature's outputs as arrays."""
        outputs = self.predict(self.request(signature, **inputs)).outputs
        return {name: tf.make_ndarray(value) for name, value in outputs.items()}

    def probabilities(self, tokens: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the probabilities after each window, float32 [batch, V]."""
        return self.ask(tokens=tokens)["probabilities"]

    def refusal(self, request: Any, call: Callable[..., Any] | None = None) -> Refusal:
        """Return the status code and message that a call, Predict if none is given, ends with."""
        with pytest.raises(grpc.RpcError) as caught:
            (call or self.prediction.Predict)(request, timeout=DEADLINE)
        return caught.value.code(), caught.value.details()

    def outcome(self, request: Any, timeout: float = DEADLINE) -> tuple[Any, *Refusal]:
        """Return what Predict answers, None if it refuses; the status code; the message."""
        try:
            response = self.prediction.Predict(request, timeout=timeout)
        except grpc.RpcError as error:
            return None, error.code(), error.details()
        return response, grpc.StatusCode.OK, ""

    def metadata(self, name: str | None = None) -> Any:
        """Return the GetModelMetadataResponse of the model."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = self.place.model if name is None else name
        return self.prediction.GetModelMetadata(request, timeout=DEADLINE)

    def states(self) -> dict[int, int]:
        """Return the state number of each version of the model."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = self.place.model
        response = self.models.GetModelStatus(request, timeout=DEADLINE)
        return {each.version: each.state for each in response.model_version_status}

    def still_answers(self) -> bool:
        """Whether a right request is answered rightly."""
        return bool(np.isfinite(self.probabilities(self.windows(1))).all())


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The server that TUNESMITH_SERVER names, else an embedded one."""
    model = os.environ.get("TUNESMITH_MODEL", "tunesmith")
    if address := os.environ.get("TUNESMITH_SERVER"):
        folder = os.environ.get("TUNESMITH_MODEL_DIR")
        yield Place(address, model, None, Path(folder) if folder else None, foreign=True)
        return
    from tunesmith.serving import EmbeddedServer, ServerOptions

    folder = tmp_path_factory.mktemp("conformance")
    _export(folder / "1")
    options = ServerOptions(
        model_name=model,
        port=0,
        poll_seconds=EMBEDDED_POLL_SECONDS,
        max_receive_bytes=EMBEDDED_RECEIVE_LIMIT,
    )
    with EmbeddedServer(folder, options) as server:
        yield Place(server.address, model, EMBEDDED_RECEIVE_LIMIT, folder, foreign=False)


def _export(directory: Path) -> None:
    """Export an untrained network whose answers depend on every token of the window."""
    from tunesmith.components.networks.paper.keras_model import build_model
    from tunesmith.components.networks.paper.network import NETWORK
    from tunesmith.components.networks.paper.sizes import PaperSizes
    from tunesmith.components.trainer.export.saved_model import ServedSettings, export_model
    from tunesmith.music import Vocabulary

    chords = [(), *((pitch,) for pitch in range(48, 72)), (60, 64, 67), (57, 60, 64), (55, 59, 62)]
    vocabulary = Vocabulary(tuple(chords), 5.0)
    # Not the paper's fifty: a client that assumed it would fail here.
    architecture = PaperSizes(embedding=6, units=8, layers=2, dense=6, window=12)
    network = build_model(len(vocabulary), architecture, portable=True)
    random = np.random.default_rng(11)
    network.set_weights([random.normal(0, 0.8, each.shape) for each in network.get_weights()])
    forward = NETWORK.for_serving(network, len(vocabulary), architecture)
    export_model(forward, architecture.window, vocabulary, ServedSettings(), directory)


@pytest.fixture(scope="session")
def server(place: Place) -> Iterator[Server]:
    """A client of the server under test."""
    server = Server(place)
    yield server
    server.channel.close()
