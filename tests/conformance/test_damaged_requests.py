"""Requests with wrong bytes, over the wire: every answer says whose fault it was."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import predict_pb2

REFUSALS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
}
# TensorFlow Serving's answer to bytes that are no message is gRPC's, INTERNAL: test_encodings.py.
# A server may pad a short list of values to a shape of any size; this is no test of its memory.
LARGEST_SHAPE = 10_000


def damaged(message: bytes, random: Random) -> bytes:
    """`message` with one to three places changed, added to or taken out."""
    parts = bytearray(message)
    for _ in range(random.randint(1, 3)):
        place = random.randrange(len(parts))
        match random.choice(["change", "insert", "delete"]):
            case "change":
                parts[place] = random.randrange(256)
            case "insert":
                parts[place:place] = random.randbytes(random.randint(1, 4))
            case "delete":
                del parts[place : place + random.randint(1, 4)]
    return bytes(parts)


def is_harmless(message: bytes) -> bool:
    """Whether no tensor of the message has a shape that is mere size."""
    try:
        request = predict_pb2.PredictRequest.FromString(message)
    except DecodeError:
        return True
    shapes = (tensor.tensor_shape.dim for tensor in request.inputs.values())
    return all(math.prod(abs(dim.size) for dim in dims) < LARGEST_SHAPE for dims in shapes)


def test_a_hundred_damaged_requests_are_answered_or_refused(server: Any) -> None:
    call = server.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    message = server.request(tokens=server.windows(2)).SerializeToString(deterministic=True)
    random = Random(4)
    codes = set()
    for _ in range(100):
        sent = damaged(message, random)
        if not is_harmless(sent):
            continue
        try:
            call(sent, timeout=60)
        except grpc.RpcError as error:
            codes.add(error.code())
    assert grpc.StatusCode.INVALID_ARGUMENT in codes
    assert codes <= REFUSALS | ({grpc.StatusCode.INTERNAL} if server.place.foreign else set())
    assert server.still_answers()
