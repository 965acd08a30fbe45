"""The client's own messages are, byte for byte, those of tensorflow-serving-api."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.client.protos import tunesmith_wire_pb2 as wire
from tunesmith.client.tensors import int32_tensor

MESSAGES = (
    ("tensorflow_serving.apis.predict_pb2", "PredictRequest"),
    ("tensorflow_serving.apis.predict_pb2", "PredictResponse"),
    ("tensorflow_serving.apis.get_model_metadata_pb2", "GetModelMetadataRequest"),
    ("tensorflow_serving.apis.get_model_metadata_pb2", "GetModelMetadataResponse"),
    ("tensorflow_serving.apis.get_model_metadata_pb2", "SignatureDefMap"),
    ("tensorflow_serving.apis.get_model_status_pb2", "GetModelStatusRequest"),
    ("tensorflow_serving.apis.get_model_status_pb2", "GetModelStatusResponse"),
)


def theirs(module: str, name: str):
    pytest.importorskip("tensorflow_serving.apis.predict_pb2")
    return getattr(__import__(module, fromlist=[name]), name)


def wire_type(field) -> int:
    """Return the field's type; an enum travels as an int32, whichever of them is declared."""
    return field.TYPE_INT32 if field.type == field.TYPE_ENUM else field.type


def same_fields(ours, reference, seen: set[str]) -> None:
    """Assert that every field of `ours` is one of `reference`, down to the leaves."""
    if ours.full_name in seen:
        return
    seen.add(ours.full_name)
    for field in ours.fields:
        other = reference.fields_by_number[field.number]
        where = f"{ours.full_name}.{field.name}"
        assert field.name == other.name, where
        assert wire_type(field) == wire_type(other), where
        assert field.is_repeated == other.is_repeated, where
        assert field.is_packed == other.is_packed, where
        assert field.has_presence == other.has_presence, where
        if field.message_type is not None:
            same_fields(field.message_type, other.message_type, seen)
        if field.enum_type is not None:
            for value in field.enum_type.values:
                assert other.enum_type.values_by_name[value.name].number == value.number, where


@pytest.mark.parametrize(("module", "name"), MESSAGES)
def test_every_field_has_the_number_and_type_of_the_reference(module: str, name: str) -> None:
    same_fields(getattr(wire, name).DESCRIPTOR, theirs(module, name).DESCRIPTOR, set())


def filled(kind):
    """Return a message of `kind`, ours or theirs, with something in every field that ours has."""
    message = kind()
    match kind.DESCRIPTOR.name:
        case "PredictRequest":
            spec(message.model_spec)
            tensor(message.inputs["tokens"])
            message.output_filter.append("probabilities")
        case "PredictResponse":
            spec(message.model_spec)
            tensor(message.outputs["probabilities"])
        case "GetModelMetadataRequest":
            spec(message.model_spec)
            message.metadata_field.append("signature_def")
        case "GetModelMetadataResponse":
            spec(message.model_spec)
            message.metadata["signature_def"].type_url = "type.googleapis.com/x"
            message.metadata["signature_def"].value = b"\x01\x02"
        case "SignatureDefMap":
            signature = message.signature_def["serving_default"]
            signature.method_name = "tensorflow/serving/predict"
            for info in (signature.inputs["tokens"], signature.outputs["probabilities"]):
                info.name, info.dtype = "x:0", 3
                info.tensor_shape.dim.add(size=-1, name="batch")
        case "GetModelStatusRequest":
            spec(message.model_spec)
        case "GetModelStatusResponse":
            status = message.model_version_status.add(version=7, state=30)
            status.status.error_code, status.status.error_message = 5, "gone"
    return message


def spec(message) -> None:
    message.name, message.signature_name = "tunesmith", "serving_default"
    message.version.value = 2**40


def tensor(message) -> None:
    message.dtype, message.version_number, message.tensor_content = 1, 1, b"\x00\x01"
    message.tensor_shape.dim.add(size=-1, name="batch")
    message.tensor_shape.dim.add(size=50)
    message.tensor_shape.unknown_rank = True
    message.float_val.extend([0.5, -1.0])
    message.double_val.extend([0.25])
    message.int_val.extend([1, -2])
    message.int64_val.extend([2**40, -1])
    message.string_val.extend([b"e", b"60,64,67"])


@pytest.mark.parametrize(("module", "name"), MESSAGES)
def test_bytes_are_the_same_both_ways(module: str, name: str) -> None:
    ours, reference = getattr(wire, name), theirs(module, name)
    written = filled(ours).SerializeToString(deterministic=True)
    assert written
    assert written == filled(reference).SerializeToString(deterministic=True)
    assert ours.FromString(written) == filled(ours)
    assert reference.FromString(written) == filled(reference)


def test_a_label_travels_as_the_reference_writes_it() -> None:
    reference = theirs("tensorflow_serving.apis.model_pb2", "ModelSpec")
    ours = wire.ModelSpec(name="m", version_label="stable")
    assert reference.FromString(ours.SerializeToString()).version_label == "stable"


def test_tensorflow_reads_the_tokens_that_the_client_sends() -> None:
    tf = pytest.importorskip("tensorflow")
    tokens = np.arange(14).reshape(2, 7)
    parsed = tf.io.parse_tensor(int32_tensor(tokens).SerializeToString(), tf.int32)
    np.testing.assert_array_equal(parsed.numpy(), tokens)
