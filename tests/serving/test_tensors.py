"""Tensors are read as TensorFlow's own Tensor::FromProto reads them, and written for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.serving import tensors
from tunesmith.serving.runtime import tensor_pb2, tf

FIELDS = {
    "float32": ("float_val", st.floats(width=32)),
    "float64": ("double_val", st.floats()),
    "int32": ("int_val", st.integers(-(2**31), 2**31 - 1)),
    "int16": ("int_val", st.integers(-(2**31), 2**31 - 1)),
    "int8": ("int_val", st.integers(-(2**31), 2**31 - 1)),
    "uint16": ("int_val", st.integers(0, 2**31 - 1)),
    "uint8": ("int_val", st.integers(0, 2**31 - 1)),
    "int64": ("int64_val", st.integers(-(2**63), 2**63 - 1)),
    "uint32": ("uint32_val", st.integers(0, 2**32 - 1)),
    "uint64": ("uint64_val", st.integers(0, 2**64 - 1)),
    "bool": ("bool_val", st.booleans()),
    "string": ("string_val", st.binary(max_size=5)),
    "float16": ("half_val", st.integers(0, 2**16 - 1)),
}


@st.composite
def protos(draw: st.DrawFn) -> Any:
    """A TensorProto with a value list of any length, or with raw bytes that fill it or do not."""
    name = draw(st.sampled_from(sorted(FIELDS)))
    field, values = FIELDS[name]
    proto = tensor_pb2.TensorProto(dtype=tf.dtypes.as_dtype(name).as_datatype_enum)
    for size in draw(st.lists(st.integers(-1, 4), max_size=3)):
        proto.tensor_shape.dim.add(size=size)
    if name != "string" and draw(st.booleans()):
        proto.tensor_content = draw(st.binary(max_size=64))
    else:
        getattr(proto, field).extend(draw(st.lists(values, max_size=12)))
    return proto


@settings(max_examples=300, deadline=None)
@given(protos())
def test_decoding_agrees_with_tensorflow(proto: Any) -> None:
    try:
        wanted = tf.io.parse_tensor(proto.SerializeToString(), tf.dtypes.as_dtype(proto.dtype))
    except tf.errors.InvalidArgumentError:
        with pytest.raises(ValueError, match=r"tensor|reshape|buffer|shape|dtype"):
            tensors.decode(proto, tensors.shape_of(proto))
        return
    array = tensors.decode(proto, tensors.shape_of(proto))
    np.testing.assert_array_equal(array, wanted.numpy())
    assert tf.dtypes.as_dtype(array.dtype) == wanted.dtype


@pytest.mark.parametrize("as_content", [False, True])
@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (7, 41), (300, 90)])
@pytest.mark.parametrize("name", sorted(FIELDS))
def test_encoded_tensors_are_read_back(name: str, shape: tuple[int, ...], as_content: bool) -> None:
    dtype = tf.dtypes.as_dtype(name)
    numbers = np.arange(np.prod(shape, dtype=int)).reshape(shape) % 100
    array = np.asarray(numbers).astype(object if name == "string" else dtype.as_numpy_dtype)
    if name == "string":
        array = np.array([b"%d" % each for each in numbers.ravel()], object).reshape(shape)
    proto = tensor_pb2.TensorProto()
    tensors.encode(array, dtype.as_datatype_enum, proto, as_content=as_content)
    read = tf.io.parse_tensor(proto.SerializeToString(), dtype).numpy()
    np.testing.assert_array_equal(read, array)
    np.testing.assert_array_equal(tf.make_ndarray(proto), array)


def test_a_few_bytes_cannot_ask_for_gigabytes() -> None:
    proto = tensor_pb2.TensorProto(dtype=tf.int32.as_datatype_enum, int_val=[1])
    proto.tensor_shape.dim.add(size=2**33)
    with pytest.raises(ValueError, match="may not be padded"):
        tensors.decode(proto, tensors.shape_of(proto))
