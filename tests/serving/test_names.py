"""Model names, versions and labels are keys: no request leads to another folder."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from tunesmith.serving import EmbeddedServer, ServerOptions
from tunesmith.serving.runtime import get_model_metadata_pb2, get_model_status_pb2, predict_pb2

TOKENS = np.arange(50)[None] % 41
NOT_FOUND, INVALID_ARGUMENT = grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT
LARGEST = 2**63 - 1

NAMES = [
    "other",
    "../other",
    "tunesmith/../../other",
    "{other}",
    "{other}/1",
    "tunesmith/1",
    "tunesmith/",
    ".",
    "..",
    "/",
    "tunesmith\0",
    "\0",
    "tunesmith\n",
    "Tunesmith",
    "%2e%2e/other",
    "é\u202e😀",
    "x" * 1_000_000,
    "😀" * 100_000,
]


class Touched:
    """The paths that Python opens, lists or imports from while it is on.

    But for those of the polling threads, which look for versions unasked: a server of other tests
    may be looking at its own folder.
    """

    def __init__(self) -> None:
        self.on = False
        self.paths: list[str] = []
        # A hook cannot be taken away again.
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if threading.current_thread().name == "version-polling":
            return
        if self.on and event in ("open", "os.listdir", "os.scandir", "import"):
            self.paths.append(f"{event} {arguments[0]}")


@pytest.fixture(scope="module")
def touched() -> Touched:
    touched = Touched()
    touched.on = True
    next(Path(__file__).parent.iterdir()).stat()
    Path(__file__).read_bytes()
    touched.on = False
    assert len(touched.paths) == 2, "it is deaf"
    return touched


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, publish: Any) -> Path:
    """A folder with the model that is served and, beside it, one that is not: ``other``."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "tunesmith").mkdir()
    publish(folder / "tunesmith", 1)
    shutil.copytree(folder / "tunesmith", folder / "other")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[EmbeddedServer]:
    # It is polled once an hour, so that what is touched is touched for a request.
    with EmbeddedServer(folder / "tunesmith", ServerOptions(port=0, poll_seconds=3600)) as running:
        yield running


def refusal(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name[:20]))
def test_a_name_is_no_path(
    server: EmbeddedServer, folder: Path, connect: Any, touched: Touched, name: str
) -> None:
    caller = connect(server)
    name = name.format(other=folder / "other")
    predict = caller.request(tokens=TOKENS)
    metadata = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    status = get_model_status_pb2.GetModelStatusRequest()
    for request in (predict, metadata, status):
        request.model_spec.name = name
    calls = (
        lambda: caller.prediction.Predict(predict, timeout=60),
        lambda: caller.prediction.GetModelMetadata(metadata, timeout=60),
        lambda: caller.models.GetModelStatus(status, timeout=60),
    )
    for call in calls:
        refusal(call)
    del touched.paths[:]
    touched.on = True
    said = [refusal(call) for call in calls]
    touched.on = False
    assert touched.paths == []
    assert [code for code, _ in said] == [NOT_FOUND] * 3
    assert said[0][1].startswith(f"Servable not found for request: Latest({name}"[:300])
    assert said[2][1].startswith(f"Could not find any versions of model {name}"[:300])


def test_an_empty_name_is_refused_as_one(server: EmbeddedServer, connect: Any) -> None:
    caller = connect(server)
    request = caller.request(tokens=TOKENS)
    request.model_spec.name = ""
    assert refusal(lambda: caller.prediction.Predict(request)) == (
        INVALID_ARGUMENT,
        "ModelSpec has no name specified.",
    )


@pytest.mark.parametrize("number", [0, -1, 2, LARGEST, -LARGEST - 1])
def test_a_version_is_a_number_that_serves_or_not(
    server: EmbeddedServer, connect: Any, number: int
) -> None:
    caller = connect(server)
    request = caller.request(tokens=TOKENS)
    request.model_spec.version.value = number
    assert refusal(lambda: caller.prediction.Predict(request)) == (
        NOT_FOUND,
        f"Servable not found for request: Specific(tunesmith, {number})",
    )
    status = get_model_status_pb2.GetModelStatusRequest()
    status.model_spec.CopyFrom(request.model_spec)
    assert refusal(lambda: caller.models.GetModelStatus(status)) == (
        NOT_FOUND,
        f"Could not find version {number} of model tunesmith",
    )


def test_a_version_beyond_64_bits_comes_round_to_another_that_does_not_serve(
    server: EmbeddedServer, connect: Any
) -> None:
    """No message can hold it; bytes of somebody's own making are read as protobuf reads them."""
    # A ModelSpec of this name, and of version 2**63 as a varint: 63 zero bits and a one.
    version = b"\x08" + b"\x80" * 9 + b"\x01"
    spec = b"\x0a\x09tunesmith" + b"\x12" + bytes([len(version)]) + version
    raw = b"\x0a" + bytes([len(spec)]) + spec
    assert predict_pb2.PredictRequest.FromString(raw).model_spec.version.value == -(2**63)
    call = connect(server).channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    assert refusal(lambda: call(raw, timeout=60)) == (
        NOT_FOUND,
        f"Servable not found for request: Specific(tunesmith, {-(2**63)})",
    )


@pytest.mark.parametrize("label", ["../other", "1", "\0", "x" * 1_000_000])
def test_a_label_is_no_path(
    server: EmbeddedServer, connect: Any, touched: Touched, label: str
) -> None:
    caller = connect(server)
    request = caller.request(tokens=TOKENS)
    request.model_spec.version_label = label
    del touched.paths[:]
    touched.on = True
    code, said = refusal(lambda: caller.prediction.Predict(request, timeout=60))
    touched.on = False
    assert touched.paths == []
    assert code is INVALID_ARGUMENT
    assert said.startswith(f"Unrecognized servable version label: {label}"[:300])
