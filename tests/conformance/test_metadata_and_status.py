"""GetModelMetadata and GetModelStatus: what they answer and what they refuse."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
AVAILABLE = get_model_status_pb2.ModelVersionStatus.AVAILABLE


def metadata(server: Any, *fields: str, name: str | None = None, **spec: Any) -> Any:
    """A GetModelMetadataRequest for the served model or for `name`."""
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    return with_spec(request, server.place.model if name is None else name, **spec)


def status(server: Any, name: str | None = None, **spec: Any) -> Any:
    """A GetModelStatusRequest for the served model or for `name`."""
    request = get_model_status_pb2.GetModelStatusRequest()
    return with_spec(request, server.place.model if name is None else name, **spec)


def with_spec(request: Any, name: str, version: int | None = None, label: str = "") -> Any:
    request.model_spec.name = name
    if version is not None:
        request.model_spec.version.value = version
    if label:
        request.model_spec.version_label = label
    return request


def test_the_metadata_names_the_model_and_the_version(server: Any) -> None:
    spec = server.metadata().model_spec
    assert spec.name == server.place.model
    assert (
        spec.version.value
        == server.predict(server.request(tokens=server.windows(1))).model_spec.version.value
    )


def test_the_metadata_of_a_version_may_be_asked_for(server: Any) -> None:
    asked = metadata(server, "signature_def", version=server.version)
    answer = server.prediction.GetModelMetadata(asked, timeout=60)
    assert answer.model_spec.version.value == server.version
    assert list(answer.metadata) == ["signature_def"]


METADATA_REFUSALS: dict[str, tuple[Any, grpc.StatusCode, str]] = {
    "no field": (lambda server: metadata(server), INVALID, "at least one metadata_field"),
    "another field": (
        lambda server: metadata(server, "signature_def", "foo"),
        INVALID,
        "foo",
    ),
    "unknown model": (
        lambda server: metadata(server, "signature_def", name="nope"),
        NOT_FOUND,
        "Servable not found for request: Latest(nope)",
    ),
    "unknown version": (
        lambda server: metadata(server, "signature_def", version=server.version + 1000),
        NOT_FOUND,
        "Servable not found for request: Specific(",
    ),
    "unknown label": (
        lambda server: metadata(server, "signature_def", label="no-such-label"),
        INVALID,
        "Unrecognized servable version label: no-such-label",
    ),
    "empty name": (
        lambda server: metadata(server, "signature_def", name=""),
        INVALID,
        "ModelSpec has no name specified",
    ),
    "no model_spec": (
        lambda _: get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"]),
        INVALID,
        "Missing ModelSpec",
    ),
    # servables/tensorflow/get_model_metadata_impl.cc: fields are looked at before the model is.
    "no field of an unknown model": (
        lambda server: metadata(server, name="nope"),
        INVALID,
        "at least one metadata_field",
    ),
}


@pytest.mark.parametrize("case", METADATA_REFUSALS)
def test_metadata_refuses(server: Any, case: str) -> None:
    make, wanted, words = METADATA_REFUSALS[case]
    code, details = server.refusal(make(server), server.prediction.GetModelMetadata)
    assert code is wanted
    assert words in details


@pytest.mark.parametrize("choice", ["none", "version", "label"])
def test_the_status_of_the_version_that_answers_is_available(server: Any, choice: str) -> None:
    """A label is not looked at: model_servers/get_model_status_impl.cc asks for has_version."""
    chosen = {"none": {}, "version": {"version": server.version}, "label": {"label": "nope"}}
    asked = status(server, **chosen[choice])
    answer = server.models.GetModelStatus(asked, timeout=60).model_version_status
    states = {each.version: each for each in answer}
    assert states[server.version].state == AVAILABLE
    assert states[server.version].status.error_code == 0
    assert states[server.version].status.error_message == ""
    if choice == "version":
        assert list(states) == [server.version]


STATUS_REFUSALS: dict[str, tuple[Any, grpc.StatusCode, str]] = {
    "unknown model": (
        lambda server: status(server, "nope"),
        NOT_FOUND,
        "Could not find any versions of model nope",
    ),
    "unknown version": (
        lambda server: status(server, version=server.version + 1000),
        NOT_FOUND,
        "Could not find version ",
    ),
    "no model_spec": (
        lambda _: get_model_status_pb2.GetModelStatusRequest(),
        INVALID,
        "Missing ModelSpec",
    ),
    # model_servers/get_model_status_impl.cc: no name is a name that no model has.
    "empty name": (
        lambda server: status(server, ""),
        NOT_FOUND,
        "Could not find any versions of model ",
    ),
    "version of an unknown model": (
        lambda server: status(server, "nope", version=3),
        NOT_FOUND,
        "Could not find version 3 of model nope",
    ),
}


@pytest.mark.parametrize("case", STATUS_REFUSALS)
def test_status_refuses(server: Any, case: str) -> None:
    make, wanted, words = STATUS_REFUSALS[case]
    code, details = server.refusal(make(server), server.models.GetModelStatus)
    assert code is wanted
    assert words in details
