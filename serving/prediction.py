"""Predict: the input checks of TensorFlow Serving's predict_util.cc, in its order."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

import grpc
from numpy.typing import NDArray

from tunesmith.serving import metrics
from tunesmith.serving.contract import SERVING_DEFAULT, check_shape, check_values
from tunesmith.serving.runtime import predict_pb2, tensor_pb2, tf, types_pb2
from tunesmith.serving.servable import Servable
from tunesmith.serving.status import RequestError, braced, invalid_argument
from tunesmith.serving.tensors import decode, encode, shape_of

_METHODS = (
    tf.compat.v1.saved_model.signature_constants.PREDICT_METHOD_NAME,
    tf.compat.v1.saved_model.signature_constants.CLASSIFY_METHOD_NAME,
    tf.compat.v1.saved_model.signature_constants.REGRESS_METHOD_NAME,
)


def predict(
    servable: Servable, request: predict_pb2.PredictRequest, *, tensor_content: bool = False
) -> predict_pb2.PredictResponse:
    """Run the requested signature of `servable`.

    Args:
        servable: the version that ``request.model_spec`` refers to.
        request: an empty signature name means ``serving_default``.
        tensor_content: write the outputs as raw bytes.

    Returns:
        The response, with name, version and signature in its ``model_spec``.

    Raises:
        RequestError: FAILED_PRECONDITION for an unknown signature, INTERNAL for a signature of
            another method than prediction, INVALID_ARGUMENT for inputs or an output filter that do
            not match the signature, and the error of the graph if it fails.
    """
    name = request.model_spec.signature_name or SERVING_DEFAULT
    signature = _signature(servable, name)
    sent = _inputs(signature, request.inputs)
    outputs = _outputs(signature, request.output_filter)
    arrays = {
        alias: _array(index, alias, proto, signature.inputs[alias])
        for index, (alias, proto) in enumerate(sent.items())
    }
    check_values(signature, arrays, servable.vocabulary)
    started = time.perf_counter()
    values = servable.run(name, arrays, outputs)
    metrics.predict_computed(request.model_spec.name, time.perf_counter() - started)
    response = predict_pb2.PredictResponse()
    spec = response.model_spec
    spec.name = request.model_spec.name
    spec.version.value = servable.version
    spec.signature_name = name
    for alias, value in values.items():
        info = signature.outputs[alias]
        encode(value, info.dtype, response.outputs[alias], as_content=tensor_content)
    return response


def _signature(servable: Servable, name: str) -> Any:
    signature = servable.signatures.get(name)
    if signature is None:
        raise RequestError(
            grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.'
        )
    if signature.method_name not in _METHODS:
        raise RequestError(
            grpc.StatusCode.INTERNAL,
            "Expected prediction signature method_name to be one of "
            f"{{{', '.join(_METHODS)}}}. Was: {signature.method_name}",
        )
    return signature


def _inputs(
    signature: Any, sent: Mapping[str, tensor_pb2.TensorProto]
) -> dict[str, tensor_pb2.TensorProto]:
    """Return the tensor of each input by name: from the request, or the signature's default."""
    wanted, defaults = signature.inputs, signature.defaults
    if len(sent) > len(wanted) or (len(sent) < len(wanted) and not defaults):
        names, known = set(sent), set(wanted)
        raise invalid_argument(
            f"input size does not match signature: {len(names)}!={len(known)} "
            f"len({braced(names)}) != len({braced(known)}). Sent extra: {braced(names - known)}. "
            f"Missing but required: {braced(known - names)}."
        )
    protos = {}
    for alias in sorted(wanted):
        # Reading a missing key of a protobuf map would create it.
        if alias in sent:
            protos[alias] = sent[alias]
        elif alias in defaults:
            protos[alias] = defaults[alias]
        else:
            raise invalid_argument(
                f"Signature input alias: {alias}(feed name: {wanted[alias].name}) not found in "
                "request and no default value provided. Inputs expected to be in the request "
                f"{braced(sent)}, or default input alias set: {','.join(sorted(defaults))}"
            )
    if any(alias not in protos for alias in sent):
        raise invalid_argument(
            "Inputs contains invalid name. Used request inputs: "
            f"{', '.join(sorted(set(sent) & set(wanted)))}, request input: {','.join(sorted(sent))}"
        )
    return protos


def _outputs(signature: Any, wanted: Iterable[str]) -> list[str]:
    """Return the names of the requested outputs; without a filter, of all outputs."""
    chosen: list[str] = []
    for alias in wanted:
        if alias not in signature.outputs:
            raise invalid_argument(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in "
                f"the set {braced(signature.outputs)}."
            )
        if alias in chosen:
            raise invalid_argument(f"duplicate output tensor alias: {alias}")
        chosen.append(alias)
    return chosen or list(signature.outputs)


def _array(index: int, alias: str, proto: tensor_pb2.TensorProto, info: Any) -> NDArray[Any]:
    """Decode the input `alias`, the `index`-th, after comparing dtype and shape with `info`.

    The comparison comes first, so that an invalid tensor is refused without decoding it.
    """
    try:
        shape = shape_of(proto)
        if proto.dtype != info.dtype:
            raise invalid_argument(
                f"Expects arg[{index}] to be {_dtype_name(info.dtype)} but "
                f"{_dtype_name(proto.dtype)} is provided"
            )
        check_shape(alias, info, shape)
        return decode(proto, shape)
    except ValueError as error:
        raise invalid_argument(f"tensor parsing error: {alias}") from error


def _dtype_name(dtype: int) -> str:
    """Return a dtype's name as TensorFlow's C++ prints it: ``float``, not ``float32``."""
    name: str = types_pb2.DataType.Name(dtype)
    return name.removeprefix("DT_").lower()
