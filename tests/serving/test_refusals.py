"""Requests that the embedded server refuses and TensorFlow Serving does not, or less clearly.

What both refuse is in tests/conformance.
"""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pytest

from tunesmith.serving.runtime import predict_pb2, tf

INVALID = grpc.StatusCode.INVALID_ARGUMENT


def request(signature: str = "", **inputs: Any) -> Any:
    made = predict_pb2.PredictRequest()
    made.model_spec.name = "tunesmith"
    made.model_spec.signature_name = signature
    for name, value in inputs.items():
        made.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return made


def ints(*shape: int) -> Any:
    return np.zeros(shape, np.int32)


REFUSALS = {
    "window too short": (
        request(tokens=ints(2, 49)),
        "input tokens must have shape [batch,50], but has [2,49]",
    ),
    "no batch dimension": (
        request(tokens=ints(50)),
        "input tokens must have shape [batch,50], but has [50]",
    ),
    "a batch of batches": (
        request(tokens=ints(1, 2, 50)),
        "input tokens must have shape [batch,50], but has [1,2,50]",
    ),
    "a table of tokens to name": (
        request("vocabulary", token_ids=ints(2, 3)),
        "input token_ids must have shape [batch], but has [2,3]",
    ),
    "a list where one string is wanted": (
        request("held", folder=["a", "b"]),
        "input folder must have shape [], but has [2]",
    ),
    "a wrong shape in gigabytes": (
        # Nothing is allocated: the shape is looked at before the values.
        predict_pb2.PredictRequest(
            model_spec={"name": "tunesmith"},
            inputs={"tokens": {"dtype": 3, "tensor_shape": {"dim": [{"size": 2**40}]}}},
        ),
        "input tokens must have shape [batch,50], but has [1099511627776]",
    ),
    "unequal batches": (
        request("pair", first=ints(2), second=ints(3)),
        "Batching Run() input tensors must have equal 0th-dimension size, but have first 2, "
        "second 3",
    ),
    "wrong dtype of the second input": (
        request("pair", first=ints(1), second=np.float32([1])),
        "Expects arg[1] to be int32 but float is provided",
    ),
    "token too large": (
        request(tokens=np.int32([[0] * 50, [0] * 48 + [41, 5000]])),
        "row 1 of input tokens has token 41 at position 48: tokens must be between 0 and 40",
    ),
    "negative token": (
        request(tokens=np.int32([[-1] + [0] * 49])),
        "row 0 of input tokens has token -1 at position 0: tokens must be between 0 and 40",
    ),
    "the graph's own refusal": (
        request("vocabulary", token_ids=np.int32([41])),
        "indices[0] = 41 is not in [0, 41)",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_predict_refuses(caller: Any, case: str) -> None:
    asked, words = REFUSALS[case]
    with pytest.raises(grpc.RpcError) as caught:
        caller.prediction.Predict(asked, timeout=60)
    assert caught.value.code() is INVALID
    assert caught.value.details().startswith(words)


@pytest.mark.parametrize("message", [b"\xff\xff\xff", b"\x0a\x05a", b"\x0a\x04\x0a\x02\xff\xfe"])
def test_bytes_that_are_no_message_are_the_clients_fault_and_no_traceback(
    caller: Any, message: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """gRPC itself answers INTERNAL, and in Python prints the exception."""
    call = caller.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    with pytest.raises(grpc.RpcError) as caught:
        call(message, timeout=60)
    assert caught.value.code() is INVALID
    assert "PredictRequest" in caught.value.details()
    assert not [record for record in caplog.records if record.exc_info]
