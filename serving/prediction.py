"""Predict on one servable: the checks of TensorFlow Serving's predict_util.cc, in its order."""

from __future__ import annotations

import time
from typing import Any

import grpc
from numpy.typing import NDArray

from tunesmith.serving import metrics
from tunesmith.serving.contract import SERVING_DEFAULT, check_inputs
from tunesmith.serving.runtime import predict_pb2, tf, types_pb2
from tunesmith.serving.servable import Servable
from tunesmith.serving.status import RequestError, braced, invalid_argument
from tunesmith.serving.tensors import decode, encode

_METHODS = (
    tf.compat.v1.saved_model.signature_constants.PREDICT_METHOD_NAME,
    tf.compat.v1.saved_model.signature_constants.CLASSIFY_METHOD_NAME,
    tf.compat.v1.saved_model.signature_constants.REGRESS_METHOD_NAME,
)


def predict(
    servable: Servable, request: predict_pb2.PredictRequest, *, tensor_content: bool = False
) -> predict_pb2.PredictResponse:
    """Answer `request` with `servable`.

    Args:
        servable: the version that ``request.model_spec`` resolved to.
        request: an empty signature name means ``serving_default``.
        tensor_content: write the outputs as raw bytes.

    Raises:
        RequestError: FAILED_PRECONDITION for an unknown signature, INTERNAL for one that is not for
            prediction, INVALID_ARGUMENT for inputs or an output filter that do not match it, and
            whatever the graph itself fails with.
    """
    name = request.model_spec.signature_name or SERVING_DEFAULT
    signature = _signature(servable, name)
    inputs = _inputs(signature, request)
    outputs = _outputs(signature, request)
    _check_dtypes(signature, inputs)
    check_inputs(signature, inputs, servable.vocabulary)
    started = time.perf_counter()
    values = servable.run(name, inputs, outputs)
    metrics.predict_computed(request.model_spec.name, time.perf_counter() - started)
    response = predict_pb2.PredictResponse()
    response.model_spec.name = request.model_spec.name
    response.model_spec.version.value = servable.version
    response.model_spec.signature_name = name
    for alias, value in values.items():
        response.outputs[alias].CopyFrom(
            encode(value, signature.outputs[alias].dtype, as_content=tensor_content)
        )
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


def _inputs(signature: Any, request: predict_pb2.PredictRequest) -> dict[str, NDArray[Any]]:
    """Return the array of each of the signature's inputs, sent or by default."""
    sent, wanted = set(request.inputs), set(signature.inputs)
    if len(sent) > len(wanted) or (len(sent) < len(wanted) and not signature.defaults):
        raise invalid_argument(
            f"input size does not match signature: {len(sent)}!={len(wanted)} "
            f"len({braced(sent)}) != len({braced(wanted)}). Sent extra: {braced(sent - wanted)}. "
            f"Missing but required: {braced(wanted - sent)}."
        )
    arrays = {}
    for alias in sorted(wanted):
        if alias not in sent and alias not in signature.defaults:
            raise invalid_argument(
                f"Signature input alias: {alias}(feed name: {signature.inputs[alias].name}) not "
                "found in request and no default value provided. Inputs expected to be in the "
                f"request {braced(sent)}, or default input alias set: "
                f"{','.join(sorted(signature.defaults))}"
            )
        try:
            arrays[alias] = decode((request.inputs if alias in sent else signature.defaults)[alias])
        except ValueError as error:
            raise invalid_argument(f"tensor parsing error: {alias}") from error
    if sent - wanted:
        raise invalid_argument(
            "Inputs contains invalid name. Used request inputs: "
            f"{', '.join(sorted(sent & wanted))}, request input: {','.join(sorted(sent))}"
        )
    return arrays


def _outputs(signature: Any, request: predict_pb2.PredictRequest) -> list[str]:
    """Return the names of the outputs asked for, all of them where no filter is given."""
    chosen: list[str] = []
    for alias in request.output_filter:
        if alias not in signature.outputs:
            raise invalid_argument(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in "
                f"the set {braced(signature.outputs)}."
            )
        if alias in chosen:
            raise invalid_argument(f"duplicate output tensor alias: {alias}")
        chosen.append(alias)
    return chosen or list(signature.outputs)


def _check_dtypes(signature: Any, inputs: dict[str, NDArray[Any]]) -> None:
    for index, (alias, array) in enumerate(inputs.items()):
        wanted = signature.inputs[alias].dtype
        given = tf.dtypes.as_dtype(array.dtype).as_datatype_enum
        if wanted != given:
            raise invalid_argument(
                f"Expects arg[{index}] to be {_dtype_name(wanted)} but {_dtype_name(given)} "
                "is provided"
            )


def _dtype_name(dtype: int) -> str:
    """Return a dtype's name as TensorFlow's C++ prints it: ``float``, not ``float32``."""
    name: str = types_pb2.DataType.Name(dtype)
    return name.removeprefix("DT_").lower()
