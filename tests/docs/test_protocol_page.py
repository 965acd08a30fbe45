"""docs/protocol.md: its bytes are those that travel, its fields and signatures those there are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2

from tunesmith.client.protos import tunesmith_wire_pb2 as wire

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")

SCALARS = {"string": 9, "bytes": 12, "int64": 3, "int32": 5, "float": 2, "enum": 14}


def listed_bytes() -> list[bytes]:
    """The blocks of hexadecimal numbers, without what is said beside them."""
    blocks = re.findall(r"^```text\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    lines = [
        re.findall(r"^ *((?:[0-9a-f]{2} )*[0-9a-f]{2})(?:  |$)", each, re.M) for each in blocks
    ]
    return [bytes.fromhex(" ".join(each)) for each in lines]


@pytest.fixture(scope="module")
def channel(server_address: str) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server_address) as channel:
        yield channel


def test_the_bytes_are_those_of_tensorflow_servings_own_messages() -> None:
    request, answer = listed_bytes()
    asked = predict_pb2.PredictRequest.FromString(request)
    assert asked.SerializeToString(deterministic=True) == request
    assert (asked.model_spec.name, asked.model_spec.version.value) == ("tunesmith", 1)
    assert list(asked.inputs["token_ids"].int_val) == [0, 1]
    answered = predict_pb2.PredictResponse.FromString(answer)
    assert answered.SerializeToString(deterministic=True) == answer


def test_a_server_answers_these_bytes_with_those(channel: grpc.Channel) -> None:
    request, answer = listed_bytes()
    # Without serializers, gRPC carries bytes as they are.
    predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    came = predict(request, timeout=30)
    assert predict_pb2.PredictResponse.FromString(came) == predict_pb2.PredictResponse.FromString(
        answer
    )


def test_the_signatures_are_those_of_an_exported_model(channel: grpc.Channel) -> None:
    listed = {
        row[0]: (set(re.findall(r"`(\w+)`", row[1])), set(re.findall(r"`(\w+)`", row[2])))
        for row in re.findall(r"^\| `(\w+)` \| (`tok[^|]*) \| ([^|]*) \|$", PAGE, re.MULTILINE)
    }
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "tunesmith"
    ask = channel.unary_unary("/tensorflow.serving.PredictionService/GetModelMetadata")
    response = get_model_metadata_pb2.GetModelMetadataResponse.FromString(
        ask(request.SerializeToString(), timeout=30)
    )
    found = get_model_metadata_pb2.SignatureDefMap.FromString(
        response.metadata["signature_def"].value
    )
    served = {
        name: (set(signature.inputs), set(signature.outputs))
        for name, signature in found.signature_def.items()
        if not name.startswith("__")
    }
    # The small model of the tests is a network alone, without songs to guess from or keep within.
    listed["settings"][1].difference_update({"rest_share_limit", "longest_run_limit"})
    assert {name: listed[name] for name in served} == served
    assert listed.keys() - served.keys() <= {"drafter", "parts"}


def test_the_numbers_of_the_fields_are_those_of_the_messages() -> None:
    rows = re.findall(
        r"^\| `(Pred\w+|Mod\w+|Ten\w+|GetModelMeta\w+|Sig\w+)` \| (.*) \|$", PAGE, re.M
    )
    assert len(rows) == 10
    for message, fields in rows:
        known = getattr(wire, message).DESCRIPTOR.fields_by_name
        for number, name in re.findall(r"(\d+) `(\w+)`", fields.partition("`Dim`")[0]):
            assert known[name].number == int(number), f"{message}.{name}"
        for name, kind in re.findall(r"`(\w+)` (?:repeated )?(\w+)", fields):
            if kind in SCALARS and name in known:
                assert known[name].type == SCALARS[kind], f"{message}.{name}"
