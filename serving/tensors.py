"""TensorProto to numpy and back, as TensorFlow's ``Tensor::FromProto`` and ``AsProtoField``.

``tf.make_ndarray`` refuses value lists that TensorFlow Serving accepts, ``tf.make_tensor_proto``
writes raw bytes where TensorFlow Serving writes typed values, and both are slow.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunesmith.serving.runtime import tensor_pb2, tf, types_pb2

# A short value list is padded to the shape with its last value, so a few bytes could allocate any
# amount of memory, as they do in TensorFlow Serving. This limit is twenty thousand windows.
MAX_PADDED_ELEMENTS = 2**20

_LARGEST_COUNT = 2**63 - 1

# Numbers above 100 are reference dtypes, which a message cannot hold.
_DTYPES = frozenset(number for number in types_pb2.DataType.values() if 0 < number < 100)


class _Field(NamedTuple):
    """The TensorProto field of the typed values of a dtype."""

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
    """Return the shape of `proto`, without reading its values.

    Raises:
        ValueError: the shape is negative, unknown or too large, or the dtype is invalid: the checks
            of ``Tensor::FromProto`` that need no values.
    """
    if proto.dtype not in _DTYPES:
        raise ValueError(f"{proto.dtype} is not a valid dtype number")
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    if proto.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise ValueError("the shape of a tensor must be known and not negative")
    if math.prod(shape) > _LARGEST_COUNT:
        raise ValueError("a tensor must have fewer than 2**63 elements")
    return shape


def decode(proto: tensor_pb2.TensorProto, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return the array of `proto`, from ``tensor_content`` or from typed values.

    As in ``Tensor::FromProto``, a value list shorter than the shape is padded with its last value
    (an empty one with zeros), and a longer one is truncated.

    Args:
        proto: the tensor.
        shape: its shape, from :func:`shape_of`.

    Raises:
        ValueError: the bytes do not match the shape, or padding would exceed MAX_PADDED_ELEMENTS.
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
    # By default numpy converts a list with values below and above 2**63 to floats.
    wide = np.uint64 if field.name == "uint64_val" else None
    values = np.array(getattr(proto, field.name)[:count], dtype=wide).astype(field.dtype)
    if len(values) < count:
        values = np.pad(values, (0, count - len(values)), "edge" if len(values) else "constant")
    return values.reshape(shape)


def _decode_in_tensorflow(proto: tensor_pb2.TensorProto) -> NDArray[Any]:
    """Decode with ``Tensor::FromProto`` itself, through an operation.

    For strings, half precision and rarer dtypes, and for booleans, whose bytes it validates.
    """
    dtype = tf.dtypes.as_dtype(proto.dtype)
    try:
        value = tf.io.parse_tensor(proto.SerializeToString(), dtype).numpy()
    except (tf.errors.OpError, TypeError) as error:
        raise ValueError(f"not a tensor: {error}") from error
    # A scalar string is returned as bytes; numpy would drop its trailing zero bytes.
    array: NDArray[Any] = np.asarray(value, object if dtype == tf.string else None)
    return array


def encode(
    array: NDArray[Any], dtype: int, into: tensor_pb2.TensorProto, *, as_content: bool = False
) -> None:
    """Write `array` into an empty TensorProto of dtype `dtype`.

    Args:
        array: array of any shape; strings are an object array of bytes.
        dtype: the ``types_pb2`` number of the array's dtype.
        into: a field of the response message, so that the tensor is not copied into it.
        as_content: write ``tensor_content`` instead of typed values (except for strings).
    """
    if dtype == types_pb2.DT_STRING:
        # A session returns a scalar string as bytes.
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
    """Return the wire format of a packed repeated fixed-width field: key, length, values.

    This copies the bytes of the array once; ``extend`` would create a Python object for each value.
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
