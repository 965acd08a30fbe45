"""The forms in which a request's values may come, and what surrounds them in the message."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf.message import Message

CLOSE = {"rtol": 1e-3, "atol": 1e-5}


def tokens_proto(windows: Any) -> Any:
    """An int32 TensorProto with the shape of `windows` and no values."""
    proto = tf.make_tensor_proto(windows)
    proto.ClearField("tensor_content")
    proto.ClearField("int_val")
    return proto


@pytest.mark.parametrize("form", ["bytes", "values", "more values than the shape", "both"])
def test_tokens_come_as_bytes_or_as_values(server: Any, form: str) -> None:
    """Bytes win where both are there, and values beyond the shape are not read.

    tensorflow/core/framework/tensor.cc: Tensor::FromProto looks at tensor_content first, and
    FromProtoField copies as many values as the shape holds.
    """
    windows = server.windows(2, seed=1)
    proto = tokens_proto(windows)
    match form:
        case "bytes":
            proto.tensor_content = windows.tobytes()
        case "values":
            proto.int_val.extend(windows.ravel().tolist())
        case "more values than the shape":
            proto.int_val.extend([*windows.ravel().tolist(), 1, 1, 1])
        case "both":
            proto.tensor_content = windows.tobytes()
            proto.int_val.append(1)
    answer = server.ask(tokens=proto)["probabilities"]
    np.testing.assert_allclose(answer, server.probabilities(windows), **CLOSE)


@pytest.mark.parametrize("values", [[], [2], [1, 0, 2]])
def test_a_short_list_is_continued_with_its_last_value(server: Any, values: list[int]) -> None:
    """An empty one with zeros: FromProtoField in tensorflow/core/framework/tensor.cc."""
    tokens = [each % server.size for each in values]
    proto = tokens_proto(server.windows(1))
    proto.int_val.extend(tokens)
    last = tokens[-1] if tokens else 0
    full = np.array([tokens + [last] * (server.window - len(tokens))], np.int32)
    answer = server.ask(tokens=proto)["probabilities"]
    np.testing.assert_allclose(answer, server.probabilities(full), **CLOSE)


def test_answers_come_in_one_of_the_two_forms(server: Any) -> None:
    response = server.predict(server.request(tokens=server.windows(3)))
    tensor = response.outputs["probabilities"]
    assert tensor.dtype == tf.float32.as_datatype_enum
    assert [dim.size for dim in tensor.tensor_shape.dim] == [3, server.size]
    forms = {len(tensor.float_val), len(tensor.tensor_content) // 4}
    assert forms == {0, 3 * server.size}


def test_the_answer_names_the_model_the_version_and_the_signature(server: Any) -> None:
    for sent in ("", "serving_default"):
        spec = server.predict(server.request(sent, tokens=server.windows(1))).model_spec
        answered = (spec.name, spec.version.value, spec.signature_name)
        assert answered == (server.place.model, server.version, "serving_default")


def test_the_version_that_answered_may_be_asked_for(server: Any) -> None:
    request = server.request(tokens=server.windows(1))
    request.model_spec.version.value = server.version
    assert server.predict(request).model_spec.version.value == server.version


def test_an_output_filter_chooses_the_outputs(server: Any) -> None:
    request = server.request(tokens=server.windows(2))
    request.output_filter.append("probabilities")
    assert list(server.predict(request).outputs) == ["probabilities"]
    settings = server.request("settings", token_ids=np.zeros(2, np.int32))
    settings.output_filter.append("frames_per_second")
    assert list(server.predict(settings).outputs) == ["frames_per_second"]


def test_a_request_may_be_compressed(server: Any) -> None:
    windows = server.windows(40, seed=2)
    response = server.prediction.Predict(
        server.request(tokens=windows), timeout=60, compression=grpc.Compression.Gzip
    )
    answer = tf.make_ndarray(response.outputs["probabilities"])
    np.testing.assert_allclose(answer, server.probabilities(windows), **CLOSE)


def test_fields_that_a_server_does_not_know_are_passed_over(server: Any) -> None:
    request: Message = server.request(tokens=server.windows(1))
    unknown = b"\xc2\x3e\x02hi"  # field 1000, two bytes
    answer = raw(server, "Predict")(request.SerializeToString() + unknown, timeout=60)
    assert b"probabilities" in answer


@pytest.mark.parametrize("message", [b"\xff\xff\xff", b"\x0a\x05a", b"\x0a\x04\x0a\x02\xff\xfe"])
@pytest.mark.parametrize("method", ["Predict", "GetModelMetadata"])
def test_bytes_that_are_no_message_are_refused(server: Any, method: str, message: bytes) -> None:
    """A bad tag, a length past the end, a name that is not UTF-8.

    gRPC's include/grpcpp/support/proto_buffer_reader.h and impl/proto_utils.h: GenericDeserialize
    answers INTERNAL. INVALID_ARGUMENT, which says whose fault it is, is as good.
    """
    code, _ = server.refusal(message, raw(server, method))
    assert code in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL}
    assert server.still_answers()


def raw(server: Any, method: str) -> Any:
    """A method of PredictionService that sends and returns bytes as they are."""
    return server.channel.unary_unary(f"/tensorflow.serving.PredictionService/{method}")
