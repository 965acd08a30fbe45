"""For any request, the answer is a status that says whose fault it is.

Thousands of requests go straight into the services, without gRPC in between. An exception that is
not a RequestError would be UNKNOWN at the client and a traceback in the log.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.message import DecodeError

from tunesmith.serving import ServerOptions
from tunesmith.serving.loading import open_store
from tunesmith.serving.prediction import predict
from tunesmith.serving.runtime import predict_pb2, tensor_pb2, tf, types_pb2
from tunesmith.serving.services import Services
from tunesmith.serving.status import RequestError

DTYPES = (
    *(tf.float16, tf.bfloat16, tf.float32, tf.float64, tf.complex64, tf.complex128),
    *(tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint16, tf.uint32, tf.uint64),
    *(tf.bool, tf.string),
)
SENSIBLE = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
}


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Services over a model that answers a tensor of any dtype and shape with itself."""
    module = tf.Module()
    signatures = {
        dtype.name: tf.function(
            lambda values: {"values": tf.identity(values)},
            input_signature=[tf.TensorSpec(None, dtype, "values")],
        ).get_concrete_function()
        for dtype in DTYPES
    }
    base = tmp_path_factory.mktemp("echo")
    tf.saved_model.save(module, str(base / "1"), signatures=signatures)
    yield from services(base, "echo")


@pytest.fixture(scope="module")
def composer(tmp_path_factory: pytest.TempPathFactory, publish: Any) -> Iterator[Services]:
    """Services over a small composer, version 3."""
    base = tmp_path_factory.mktemp("composer")
    publish(base, 3)
    yield from services(base, "tunesmith")


def services(base: Path, name: str) -> Iterator[Services]:
    store = open_store(base, ServerOptions(model_name=name, poll_seconds=60))
    yield Services(store)
    store.stop()


def outcome(asked: Services, request: Any) -> Any:
    """The response; None after a refusal, whose code and message are looked at."""
    refusal = None
    try:
        return asked.predict(request)
    except RequestError as error:
        refusal = error
    assert refusal.code in SENSIBLE, (refusal.code, refusal.message, request)
    assert refusal.message, request
    return None


SIZES = [-1, 0, 1, 1, 2, 3, 41, 49, 50, 50, 50, 51, 2**31, 2**40, 2**62, 2**63 - 1]
NUMBERS = [-(2**31), -1, 0, 1, 2, 40, 41, 2**31 - 1]
RIGHT = {
    "": ({"tokens": (2, 50)}, ["probabilities"]),
    "serving_default": ({"tokens": (1, 50)}, ["probabilities"]),
    "vocabulary": ({"token_ids": (3,)}, ["frames"]),
    "settings": ({"token_ids": (1,)}, ["program", "track", "frames_per_second"]),
    "pair": ({"first": (2,), "second": (2,)}, ["total", "difference"]),
}
ALIASES = ["tokens"] * 4 + ["token_ids"] * 4 + ["first", "second", "", "zzz"]
VALUES: dict[str, list[Any]] = {
    "string_val": [b"", b"60", b"\0\xff"],
    "float_val": [0.0, 1.5, math.nan, -math.inf],
    "double_val": [0.0, 1e300],
    "half_val": [0, -1, 2**16],
    "scomplex_val": [0.0, 1.0],
    "bool_val": [True, False],
    "int64_val": [-1, 2**63 - 1],
}


def a_tensor(random: Random) -> Any:
    """A TensorProto that may be anything, more often than not of int32."""
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_INT32)
    if random.random() < 0.3:
        proto.dtype = random.choice([*types_pb2.DataType.values(), 9999, -1])
    for _ in range(random.choice([0, 1, 1, 2, 2, 2, 3, 300])):
        proto.tensor_shape.dim.add(size=random.choice(SIZES))
    proto.tensor_shape.unknown_rank = random.random() < 0.05
    if random.random() < 0.5:
        proto.int_val.extend(random.choices(NUMBERS, k=random.choice([1, 2, 50, 51, 150])))
    if random.random() < 0.3:
        proto.tensor_content = random.randbytes(random.choice([1, 4, 8, 200, 400, 600]))
    if random.random() < 0.3:
        field = random.choice(list(VALUES))
        getattr(proto, field).extend(random.choices(VALUES[field], k=random.choice([1, 2, 50])))
    return proto


def a_request(random: Random) -> Any:
    """A PredictRequest that comes near to a right one, or nowhere near."""
    request = predict_pb2.PredictRequest()
    if random.random() < 0.95:
        spec = request.model_spec
        spec.name = random.choice(["tunesmith"] * 12 + ["", "nope", "../tunesmith"])
        spec.signature_name = random.choice(
            ["", "", "serving_default", "vocabulary", "settings", "pair", "foo", "кузнец"]
        )
        if random.random() < 0.1:
            spec.version.value = random.choice([3, 0, -1, 2**63 - 1])
        elif random.random() < 0.1:
            spec.version_label = random.choice(["", "stable", "♪"])
    inputs, outputs = RIGHT.get(request.model_spec.signature_name, ({}, ["zzz"]))
    for alias, shape in inputs.items():
        tokens = np.array(random.choices(range(41), k=math.prod(shape)), np.int32).reshape(shape)
        request.inputs[alias].CopyFrom(tf.make_tensor_proto(tokens))
    if random.random() < 0.5:
        for alias in random.choices([*inputs, *inputs, *ALIASES], k=random.choice([1, 1, 1, 2])):
            request.inputs[alias].CopyFrom(a_tensor(random))
    if random.random() < 0.2:
        names = [*outputs, *outputs, "probabilities", "", "zzz"]
        request.output_filter.extend(random.choices(names, k=random.choice([1, 2])))
    return request


def damaged(message: bytes, random: Random) -> bytes:
    """`message` with up to four places changed, added to, taken out or cut off."""
    parts = bytearray(message)
    for _ in range(random.randint(1, 4)):
        place = random.randrange(len(parts) + 1)
        match random.choice(["change", "insert", "delete", "cut"]):
            case "change":
                parts[place : place + 1] = random.randbytes(1)
            case "insert":
                parts[place:place] = random.randbytes(random.randint(1, 4))
            case "delete":
                del parts[place : place + random.randint(1, 4)]
            case "cut" if random.random() < 0.1:
                del parts[place:]
    return bytes(parts)


def test_any_request_is_answered_or_refused(composer: Services) -> None:
    random = Random(1)
    answered = sum(outcome(composer, a_request(random)) is not None for _ in range(4000))
    # Both happen, or the requests were not worth much.
    assert 500 < answered < 3500


def test_a_right_request_with_wrong_bytes_is_answered_or_refused(composer: Services) -> None:
    right = predict_pb2.PredictRequest()
    right.model_spec.name = "tunesmith"
    right.inputs["tokens"].CopyFrom(tf.make_tensor_proto(np.zeros((2, 50), np.int32)))
    message = right.SerializeToString(deterministic=True)
    random = Random(2)
    answered = refused = 0
    for _ in range(4000):
        try:
            request = predict_pb2.PredictRequest.FromString(damaged(message, random))
        except DecodeError:
            continue
        response = outcome(composer, request)
        answered += response is not None
        refused += response is None
    assert min(answered, refused) > 200


def test_any_tensor_is_taken_or_refused_whatever_the_input(echo: Services) -> None:
    random = Random(3)
    answered = 0
    for _ in range(4000):
        proto, dtype = a_tensor(random), random.choice(DTYPES)
        if random.random() < 0.7:
            proto.dtype = dtype.as_datatype_enum
        request = predict_pb2.PredictRequest(inputs={"values": proto})
        request.model_spec.name = "echo"
        request.model_spec.signature_name = dtype.name
        response = outcome(echo, request)
        if response is not None:
            answered += 1
            assert response.outputs["values"].dtype == proto.dtype
            assert response.outputs["values"].tensor_shape == proto.tensor_shape
    assert answered > 400


@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 3)])
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)
def test_values_of_every_dtype_come_back_as_they_were_sent(
    echo: Services, dtype: Any, shape: tuple[int, ...]
) -> None:
    numbers = np.arange(1, 1 + np.prod(shape, dtype=int)).reshape(shape)
    if dtype == tf.string:
        array = np.array([b"%d\0" % each for each in numbers.ravel()], object).reshape(shape)
    else:
        array = numbers.astype(dtype.as_numpy_dtype)
    request = predict_pb2.PredictRequest(inputs={"values": tf.make_tensor_proto(array, dtype)})
    request.model_spec.name = "echo"
    request.model_spec.signature_name = dtype.name
    for as_content in (False, True):
        with echo._store.lease(request.model_spec) as servable:
            answer = predict(servable, request, tensor_content=as_content).outputs["values"]
        returned = tf.io.parse_tensor(answer.SerializeToString(), dtype).numpy()
        np.testing.assert_array_equal(np.asarray(returned, array.dtype), array)
