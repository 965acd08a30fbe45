"""TensorProto to numpy and back, as TensorFlow's ``Tensor::FromProto`` and ``AsProtoField`` do it.

``tf.make_ndarray`` refuses value lists that TensorFlow Serving accepts, and
``tf.make_tensor_proto`` writes raw bytes where TensorFlow Serving writes typed values; besides,
both are slow.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunesmith.serving.runtime import tensor_pb2, tf, types_pb2

# A short value list is padded to the shape with its last value, so a few bytes can ask for any
# amount of memory. TensorFlow Serving allows it; this is twenty thousand windows.
MAX_PADDED_ELEMENTS = 2**20

_LARGEST_COUNT = 2**63 - 1

# A number above 100 is a reference to a variable, which no message can hold.
_DTYPES = frozenset(number for number in types_pb2.DataType.values() if 0 < number < 100)


class _Field(NamedTuple):
    """Where a dtype's typed values lie in a TensorProto."""

    name: str
    dtype: Any
    packed_number: int | None = None  # field number, where the wire format is the array's own bytes


_FIELDS: dict[int, _Field] = {
    types_pb2.DT_FLOAT: _Field("float_val", np.float32, 5),
    types_pb2.DT_DOUBLE: _Field("double_val", np.float64, 6),
    types_pb2.DT_INT32: _Field("int_val", np.int32),
    types_pb2.DT_INT16: _Field("int_val", np.int16),
    types_pb2.DT_INT8: _Field("int_val", np.int8),
    types_pb2.DT_UINT16: _Field("int_val", np.uint16),
    types_pb2.DT_UINT8: _Field("int_val", np.uint8),
    types_pb2.DT_INT64: _Field("int64_val", np.int64),
    types_pb2.DT_UINT32: _Field("uint32_val", np.uint32),
    types_pb2.DT_UINT64: _Field("uint64_val", np.uint64),
    types_pb2.DT_BOOL: _Field("bool_val", np.bool_),
}


def shape_of(proto: tensor_pb2.TensorProto) -> tuple[int, ...]:
    """Return the shape of `proto`, before any of its values is looked at.

    Raises:
        ValueError: the shape is negative, unknown or too large, or the dtype is none that a tensor
            can have: what ``Tensor::FromProto`` refuses without reading values.
    """
    if proto.dtype not in _DTYPES:
        raise ValueError(f"{proto.dtype} is not the number of a tensor's dtype")
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    if proto.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise ValueError("a tensor's shape must be known and not negative")
    if math.prod(shape) > _LARGEST_COUNT:
        raise ValueError("a tensor's shape must be of fewer than 2**63 elements")
    return shape


def decode(proto: tensor_pb2.TensorProto, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return the array that `proto` stands for, from ``tensor_content`` or from typed values.

    A list shorter than the shape is padded with its last value (an empty one with zeros), and a
    longer one is cut, as ``Tensor::FromProto`` does.

    Args:
        proto: the tensor.
        shape: what :func:`shape_of` returned for it.

    Raises:
        ValueError: the bytes do not fill the shape, or the values would have to be padded to more
            than is reasonable.
    """
    count = math.prod(shape)
    if count > MAX_PADDED_ELEMENTS and count > proto.ByteSize() + MAX_PADDED_ELEMENTS:
        raise ValueError(f"{proto.ByteSize()} bytes may not be padded to {count} elements")
    field = _FIELDS.get(proto.dtype)
    if field is None or field.dtype is np.bool_:
        return _decode_in_tensorflow(proto)
    if count == 0:
        return np.zeros(shape, field.dtype)
    if proto.tensor_content:
        return np.frombuffer(proto.tensor_content, field.dtype).reshape(shape)
    # Left to itself, numpy would take a list with values on both sides of 2**63 for floats.
    wide = np.uint64 if field.name == "uint64_val" else None
    values = np.array(getattr(proto, field.name)[:count], dtype=wide).astype(field.dtype)
    if len(values) < count:
        values = np.pad(values, (0, count - len(values)), "edge" if len(values) else "constant")
    return values.reshape(shape)


def _decode_in_tensorflow(proto: tensor_pb2.TensorProto) -> NDArray[Any]:
    """Decode with ``Tensor::FromProto`` itself, through an operation.

    For strings, half precision and rarer dtypes, and for booleans, whose every byte it looks at.
    """
    dtype = tf.dtypes.as_dtype(proto.dtype)
    try:
        value = tf.io.parse_tensor(proto.SerializeToString(), dtype).numpy()
    except (tf.errors.OpError, TypeError) as error:
        raise ValueError(f"not a tensor: {error}") from error
    # A string without dimensions comes as bytes, whose zeros at the end numpy would drop.
    array: NDArray[Any] = np.asarray(value, object if dtype == tf.string else None)
    return array


def encode(
    array: NDArray[Any], dtype: int, into: tensor_pb2.TensorProto, *, as_content: bool = False
) -> None:
    """Write `array` into an empty TensorProto, as one of TensorFlow `dtype`.

    Args:
        array: any shape; strings are an object array of bytes.
        dtype: the ``types_pb2`` number of the array's dtype.
        into: a field of the message that it is sent in, so that nothing is copied there.
        as_content: write ``tensor_content`` instead of typed values; strings never are.
    """
    if dtype == types_pb2.DT_STRING:
        # A session returns a string without dimensions as bytes.
        array = np.asarray(array, object)
    into.dtype = dtype
    dims = into.tensor_shape.dim
    for size in array.shape:
        dims.add(size=size)
    field = _FIELDS.get(dtype)
    if dtype == types_pb2.DT_STRING:
        into.string_val.extend(array.ravel().tolist())
    elif as_content or field is None:
        into.tensor_content = array.tobytes()
    elif field.packed_number is not None:
        payload = array.astype(field.dtype, copy=False).tobytes()
        into.MergeFromString(_packed(field.packed_number, payload))
    else:
        getattr(into, field.name).extend(array.ravel().tolist())


def _packed(number: int, payload: bytes) -> bytes:
    """Return a packed repeated fixed-width field on the wire: key, length, the values' bytes.

    Twenty thousand probabilities cost a copy this way, and a Python object each through ``extend``.
    """
    if not payload:
        return b""
    key_and_length = bytearray([number << 3 | 2])
    length = len(payload)
    while length > 0x7F:
        key_and_length.append(length & 0x7F | 0x80)
        length >>= 7
    key_and_length.append(length)
    return bytes(key_and_length) + payload
