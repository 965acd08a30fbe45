"""Values of a TensorProto, wherever a server puts them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.client import BadResponse
from tunesmith.client.protos import tunesmith_wire_pb2 as wire
from tunesmith.client.tensors import int32_tensor, to_array, to_tensor


def tensor(dtype: int, shape: list[int], **values: object) -> wire.TensorProto:
    dims = wire.TensorShapeProto(dim=[wire.TensorShapeProto.Dim(size=size) for size in shape])
    return wire.TensorProto(dtype=dtype, tensor_shape=dims, **values)


@given(st.lists(st.integers(-(2**31), 2**31 - 1)))
def test_integers_come_back(values: list[int]) -> None:
    sent = np.array(values, dtype=np.int64)
    np.testing.assert_array_equal(to_array("x", int32_tensor(sent)), sent)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "i8", ">f4", ">i8"])
def test_values_of_every_type_come_back(dtype: str) -> None:
    sent = np.array([[0, -1, 2**31 - 1], [7, 8, -(2**31)]]).astype(dtype)
    received = to_array("x", to_tensor(sent))
    np.testing.assert_array_equal(received, sent)
    assert received.dtype == np.dtype(dtype).newbyteorder("=")


@pytest.mark.parametrize(
    ("dtype", "field", "numpy_type"),
    [
        (wire.DT_FLOAT, "float_val", "<f4"),
        (wire.DT_DOUBLE, "double_val", "<f8"),
        (wire.DT_INT32, "int_val", "<i4"),
        (wire.DT_INT64, "int64_val", "<i8"),
    ],
)
def test_a_value_list_and_packed_content_give_the_same(
    dtype: int, field: str, numpy_type: str
) -> None:
    values = np.array([[1, 2, 3], [4, 5, 6]], dtype=numpy_type)
    listed = to_array("x", tensor(dtype, [2, 3], **{field: values.ravel().tolist()}))
    packed = to_array("x", tensor(dtype, [2, 3], tensor_content=values.tobytes()))
    np.testing.assert_array_equal(listed, values)
    np.testing.assert_array_equal(packed, values)
    assert listed.dtype == packed.dtype == values.dtype


def test_a_short_list_is_filled_up_as_tensorflow_does() -> None:
    tf = pytest.importorskip("tensorflow")
    for values in ([], [1.0], [1.0, 2.0]):
        short = tensor(wire.DT_FLOAT, [4], float_val=values)
        reference = tf.io.parse_tensor(short.SerializeToString(), tf.float32).numpy()
        np.testing.assert_array_equal(to_array("x", short), reference)


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_strings_come_back_from_a_list(values: list[bytes]) -> None:
    assert to_array("x", tensor(7, [len(values)], string_val=values)).tolist() == values


def test_packed_strings_are_read_as_tensorflow_reads_them() -> None:
    tf = pytest.importorskip("tensorflow")
    strings = [b"e", b"60,64,67", b"", b"x" * 300]
    lengths = b"\x01\x08\x00\xac\x02"  # varints; 300 takes two bytes
    packed = tensor(wire.DT_STRING, [2, 2], tensor_content=lengths + b"".join(strings))
    reference = tf.io.parse_tensor(packed.SerializeToString(), tf.string).numpy()
    assert to_array("x", packed).tolist() == reference.tolist()
    assert to_array("x", packed).ravel().tolist() == strings


@pytest.mark.parametrize(
    "broken",
    [
        tensor(wire.DT_FLOAT, [2], tensor_content=b"123"),
        tensor(wire.DT_FLOAT, [1], float_val=[1.0, 2.0]),
        tensor(wire.DT_FLOAT, [-1], float_val=[1.0]),
        tensor(19, [1]),
        tensor(wire.DT_STRING, [2], tensor_content=b"\x05"),
        tensor(wire.DT_STRING, [1], tensor_content=b"\x05abc"),
        tensor(wire.DT_STRING, [1], string_val=[b"a", b"b"]),
        wire.TensorProto(
            dtype=wire.DT_FLOAT, tensor_shape=wire.TensorShapeProto(unknown_rank=True)
        ),
    ],
)
def test_values_that_do_not_fit_are_named(broken: wire.TensorProto) -> None:
    with pytest.raises(BadResponse, match="answered probabilities"):
        to_array("probabilities", broken)
