"""A small SavedModel that keeps the composer's contract, and a server of it on a real socket."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from tunesmith.serving import EmbeddedServer, ServerOptions
from tunesmith.serving.logs import TextFormatter
from tunesmith.serving.polling import Polling
from tunesmith.serving.runtime import predict_pb2, prediction_log_pb2, tf

VOCABULARY = 41
WINDOW = 50
FRAMES = ["e", *(str(59 + token) for token in range(1, VOCABULARY))]

Publish = Callable[..., Path]
Record = Callable[..., bytes]


@pytest.fixture
def caplog(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """pytest's fixture, with the fields of each line in its text."""
    before = caplog.handler.formatter
    caplog.handler.setFormatter(TextFormatter())
    yield caplog
    caplog.handler.setFormatter(before)


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for a condition; `seconds` bound how long a failure takes."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.01)


def wait_in_graph(path: tf.Tensor) -> tf.Tensor:
    """Return 1, int32 [], once a file exists."""

    def is_missing(looks: tf.Tensor) -> tf.Tensor:
        # The pattern depends on the number of looks, or the graph might look once only.
        nothing = tf.strings.substr(tf.as_string(looks), 0, 0)
        return tf.size(tf.io.matching_files(path + nothing)) == 0

    looks = tf.while_loop(is_missing, lambda looks: [looks + 1], [0])
    return tf.minimum(looks[0], 0) + 1


class Hold:
    """Holds requests to the signature ``held`` while they run.

    Args:
        folder: an empty folder, which the requests name.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def folder(self) -> str:
        """The input of the signature."""
        return str(self._folder)

    def wait_for_start(self) -> None:
        """Return when a request is running."""
        until((self._folder / "started").exists)

    def release(self) -> None:
        """Let the requests end."""
        (self._folder / "released").touch()


@pytest.fixture
def hold(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hold]:
    """A Hold that is released at the end."""
    made = Hold(tmp_path_factory.mktemp("hold"))
    yield made
    made.release()


@pytest.fixture
def polled(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """``polled(name)`` returns when that poll of a server ran once more, from begin to end."""
    ended: Counter[str] = Counter()
    original = Polling.__init__

    def counted(self: Polling, name: str, seconds: float, poll: Callable[[], None]) -> None:
        def poll_and_count() -> None:
            poll()
            ended[name] += 1

        original(self, name, seconds, poll_and_count)

    monkeypatch.setattr(Polling, "__init__", counted)

    def wait(name: str) -> None:
        # The first one to end may have begun before.
        wanted = ended[name] + 2
        until(lambda: ended[name] >= wanted)

    return wait


class SmallComposer(tf.Module):
    """Probabilities that depend on the last token and on `flavour`, so that versions differ.

    The signature ``held`` runs until a test lets it end; see :class:`Hold`.
    """

    def __init__(self, flavour: float) -> None:
        super().__init__()
        table = tf.random.stateless_normal([VOCABULARY, VOCABULARY], seed=[7, 0])
        self.table = tf.Variable(table * flavour)
        self.frames = tf.constant(FRAMES)

    @tf.function(input_signature=[tf.TensorSpec([None, WINDOW], tf.int32, "tokens")])
    def serving_default(self, tokens: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": tf.nn.softmax(tf.gather(self.table, tokens[:, -1]))}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "token_ids")])
    def vocabulary(self, token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"frames": tf.gather(self.frames, token_ids)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "token_ids")])
    def settings(self, token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        count = tf.shape(token_ids)
        return {
            "frames_per_second": tf.fill(count, 5.0),
            "track": tf.fill(count, "first"),
            "program": tf.fill(count, 0),
        }

    @tf.function(input_signature=[tf.TensorSpec([], tf.string, "folder")])
    def held(self, folder: tf.Tensor) -> dict[str, tf.Tensor]:
        tf.io.write_file(folder + "/started", "")
        return {"done": wait_in_graph(folder + "/released")}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.int32, "first"),
            tf.TensorSpec([None], tf.int32, "second"),
        ]
    )
    def pair(self, first: tf.Tensor, second: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"total": first + second, "difference": first - second}


@pytest.fixture(scope="session")
def publish() -> Publish:
    """``publish(base, version, flavour=1.0, warmup=())`` exports aside and renames into place."""

    def export(
        base: Path, version: int | str, flavour: float = 1.0, warmup: tuple[bytes, ...] = ()
    ) -> Path:
        aside = base / f".writing-{version}"
        module = SmallComposer(flavour)
        signatures = {
            name: getattr(module, name)
            for name in ("serving_default", "vocabulary", "settings", "held", "pair")
        }
        tf.saved_model.save(module, str(aside), signatures=signatures)
        if warmup:
            (aside / "assets.extra").mkdir()
            file = aside / "assets.extra" / "tf_serving_warmup_requests"
            with tf.io.TFRecordWriter(str(file)) as writer:
                for record in warmup:
                    writer.write(record)
        return aside.replace(base / str(version))

    return export


@pytest.fixture(scope="session")
def warmup_record() -> Record:
    """``warmup_record(signature, **inputs)`` is one request as a serialized PredictionLog."""

    def record(signature: str, **inputs: Any) -> bytes:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "any"
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(as_tensor(value))
        log = prediction_log_pb2.PredictionLog(
            predict_log=prediction_log_pb2.PredictLog(request=request)
        )
        return log.SerializeToString()

    return record


def as_tensor(value: Any) -> Any:
    """Return a TensorProto of a string, or of int32."""
    return tf.make_tensor_proto(value if isinstance(value, str) else np.asarray(value, np.int32))


class Caller:
    """A client made of tensorflow-serving-api's own stubs."""

    def __init__(self, address: str) -> None:
        from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

        self.channel = grpc.insecure_channel(address)
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def predict(self, signature: str = "", **inputs: Any) -> Any:
        """Return the response to `inputs`: int32, or a string."""
        request = self.request(signature, **inputs)
        return self.prediction.Predict(request, timeout=60)

    def request(self, signature: str = "", **inputs: Any) -> Any:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "tunesmith"
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(as_tensor(value))
        return request

    def statuses(self) -> dict[int, tuple[int, int, str]]:
        """Return (state, error code, error message) of each version."""
        from tensorflow_serving.apis import get_model_status_pb2

        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = "tunesmith"
        found = self.models.GetModelStatus(request, timeout=60).model_version_status
        return {
            each.version: (each.state, each.status.error_code, each.status.error_message)
            for each in found
        }


@pytest.fixture
def connect() -> Iterator[Callable[[EmbeddedServer], Caller]]:
    """``connect(server)`` is a Caller whose channel is closed after the test."""
    callers: list[Caller] = []

    def open_caller(server: EmbeddedServer) -> Caller:
        callers.append(Caller(server.address))
        return callers[-1]

    yield open_caller
    for caller in callers:
        caller.channel.close()


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory, publish: Publish) -> Any:
    """One server of version 3, for tests that only ask."""
    base = tmp_path_factory.mktemp("model")
    publish(base, 3)
    with EmbeddedServer(base, ServerOptions(port=0)) as server:
        yield server


@pytest.fixture(scope="session")
def caller(shared_server: EmbeddedServer) -> Iterator[Caller]:
    """A client of the shared server."""
    caller = Caller(shared_server.address)
    yield caller
    caller.channel.close()


@pytest.fixture
def windows() -> Callable[[int], Any]:
    """``windows(batch)`` is int32[batch, 50], each row another melody."""

    def make(batch: int) -> Any:
        return (np.arange(batch * WINDOW).reshape(batch, WINDOW) * 7 % VOCABULARY).astype(np.int32)

    return make
