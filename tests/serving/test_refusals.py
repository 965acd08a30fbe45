"""What the embedded server refuses, in TensorFlow Serving's codes and words.

They come from TensorFlow Serving 2.20 asked over gRPC, and from its predict_util.cc,
get_model_metadata_impl.cc and get_model_status_impl.cc; shape and token range are our own.
"""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
)

from tunesmith.serving import EmbeddedServer, ServerOptions
from tunesmith.serving.runtime import tf

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
GOOD = np.zeros((1, 50), np.int32)


def refused(call: Any, request: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=60)
    return caught.value.code(), caught.value.details()


def request(**spec: Any) -> Any:
    made = predict_pb2.PredictRequest()
    made.model_spec.name = spec.pop("name", "tunesmith")
    made.model_spec.signature_name = spec.pop("signature", "")
    if "version" in spec:
        made.model_spec.version.value = spec.pop("version")
    if "label" in spec:
        made.model_spec.version_label = spec.pop("label")
    for name, value in spec.items():
        made.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return made


REFUSALS = [
    (
        "unknown model",
        request(name="nope", tokens=GOOD),
        NOT_FOUND,
        "Servable not found for request: Latest(nope)",
    ),
    (
        "unknown version",
        request(version=99, tokens=GOOD),
        NOT_FOUND,
        "Servable not found for request: Specific(tunesmith, 99)",
    ),
    (
        "unknown version of an unknown model",
        request(name="nope", version=9, tokens=GOOD),
        NOT_FOUND,
        "Servable not found for request: Specific(nope, 9)",
    ),
    (
        "unknown label",
        request(label="canary", tokens=GOOD),
        INVALID,
        "Unrecognized servable version label: canary",
    ),
    ("empty name", request(name="", tokens=GOOD), INVALID, "ModelSpec has no name specified."),
    (
        "no model_spec",
        predict_pb2.PredictRequest(inputs={"tokens": tf.make_tensor_proto(GOOD)}),
        INVALID,
        "Missing ModelSpec",
    ),
    (
        "unknown signature",
        request(signature="foo", tokens=GOOD),
        grpc.StatusCode.FAILED_PRECONDITION,
        'Serving signature key "foo" not found.',
    ),
    (
        "a signature that is not for prediction",
        request(signature="__saved_model_init_op"),
        grpc.StatusCode.INTERNAL,
        "Expected prediction signature method_name to be one of ",
    ),
    (
        "missing input",
        request(),
        INVALID,
        "input size does not match signature: 0!=1 len({}) != len({tokens}). "
        "Sent extra: {}. Missing but required: {tokens}.",
    ),
    (
        "extra input",
        request(tokens=GOOD, zzz=GOOD),
        INVALID,
        "input size does not match signature: 2!=1 len({tokens,zzz}) != len({tokens}). "
        "Sent extra: {zzz}. Missing but required: {}.",
    ),
    (
        "wrong input name",
        request(zzz=GOOD),
        INVALID,
        "Signature input alias: tokens(feed name: serving_default_tokens:0) not found in request",
    ),
    (
        "wrong dtype",
        request(tokens=GOOD.astype(np.int64)),
        INVALID,
        "Expects arg[0] to be int32 but int64 is provided",
    ),
    (
        "wrong dtype of the second input",
        request(signature="pair", first=np.int32([1]), second=np.float32([1])),
        INVALID,
        "Expects arg[1] to be int32 but float is provided",
    ),
    (
        "window too short",
        request(tokens=np.zeros((2, 49), np.int32)),
        INVALID,
        "input tokens must have shape [batch,50], but has [2,49]",
    ),
    (
        "no batch dimension",
        request(tokens=np.zeros(50, np.int32)),
        INVALID,
        "input tokens must have shape [batch,50], but has [50]",
    ),
    (
        "token too large",
        request(tokens=np.int32([[0] * 50, [0] * 48 + [41, 5000]])),
        INVALID,
        "row 1 of input tokens holds token 41 at position 48: tokens lie in 0..40",
    ),
    (
        "negative token",
        request(tokens=np.int32([[-1] + [0] * 49])),
        INVALID,
        "row 0 of input tokens holds token -1 at position 0: tokens lie in 0..40",
    ),
    (
        "the graph's own refusal",
        request(signature="vocabulary", token_ids=np.int32([41])),
        INVALID,
        "indices[0] = 41 is not in [0, 41)",
    ),
]


@pytest.mark.parametrize(
    ("asked", "code", "words"), [each[1:] for each in REFUSALS], ids=[each[0] for each in REFUSALS]
)
def test_predict_refuses(caller: Any, asked: Any, code: Any, words: str) -> None:
    answered, details = refused(caller.prediction.Predict, asked)
    assert answered is code
    assert details.startswith(words)


@pytest.mark.parametrize("flaw", ["bytes", "negative", "unknown rank", "no dtype", "huge"])
def test_a_tensor_that_cannot_be_parsed_is_refused(caller: Any, flaw: str) -> None:
    asked = request(tokens=GOOD)
    tensor = asked.inputs["tokens"]
    match flaw:
        case "bytes":
            tensor.tensor_content = b"123"
        case "negative":
            tensor.tensor_shape.dim[0].size = -1
        case "unknown rank":
            tensor.tensor_shape.unknown_rank = True
        case "no dtype":
            tensor.dtype = 0
        case "huge":
            tensor.ClearField("tensor_content")
            tensor.tensor_shape.dim[0].size = 2**40
    answer = refused(caller.prediction.Predict, asked)
    assert answer == (INVALID, "tensor parsing error: tokens")


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (
            ["zzz"],
            "output tensor alias not found in signature: zzz Outputs expected to be in the set "
            "{probabilities}.",
        ),
        (["probabilities"] * 2, "duplicate output tensor alias: probabilities"),
    ],
)
def test_a_bad_output_filter_is_refused(caller: Any, wanted: list[str], words: str) -> None:
    asked = request(tokens=GOOD)
    asked.output_filter.extend(wanted)
    assert refused(caller.prediction.Predict, asked) == (INVALID, words)


@pytest.mark.parametrize(
    ("name", "fields", "code", "words"),
    [
        (
            "tunesmith",
            [],
            INVALID,
            "GetModelMetadataRequest must specify at least one metadata_field",
        ),
        (
            "tunesmith",
            ["signature_def", "foo"],
            INVALID,
            "Metadata field foo is not supported",
        ),
        (
            "nope",
            ["signature_def"],
            NOT_FOUND,
            "Servable not found for request: Latest(nope)",
        ),
        ("", ["signature_def"], INVALID, "ModelSpec has no name specified."),
        (None, ["signature_def"], INVALID, "Missing ModelSpec"),
    ],
)
def test_metadata_refuses(caller: Any, name: Any, fields: list[str], code: Any, words: str) -> None:
    asked = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    if name is not None:
        asked.model_spec.name = name
    assert refused(caller.prediction.GetModelMetadata, asked) == (code, words)


@pytest.mark.parametrize(
    ("name", "version", "code", "words"),
    [
        ("nope", None, NOT_FOUND, "Could not find any versions of model nope"),
        ("tunesmith", 9, NOT_FOUND, "Could not find version 9 of model tunesmith"),
        (None, None, INVALID, "Missing ModelSpec"),
    ],
)
def test_status_refuses(caller: Any, name: Any, version: Any, code: Any, words: str) -> None:
    asked = get_model_status_pb2.GetModelStatusRequest()
    if name is not None:
        asked.model_spec.name = name
    if version is not None:
        asked.model_spec.version.value = version
    assert refused(caller.models.GetModelStatus, asked) == (code, words)


def test_a_message_over_the_limit_is_resource_exhausted(
    shared_server: EmbeddedServer, connect: Any, windows: Any
) -> None:
    options = ServerOptions(port=0, max_receive_bytes=1000)
    with EmbeddedServer(shared_server.model_dir, options) as server:
        limited = connect(server)
        limited.predict(tokens=windows(1))
        code, _ = refused(limited.prediction.Predict, limited.request(tokens=windows(100)))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_deadline_that_passes_is_told_to_the_client(caller: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        caller.prediction.Predict(caller.request("slow", steps=200_000), timeout=0.05)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
