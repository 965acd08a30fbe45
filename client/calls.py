"""The three gRPC calls of a composer as exchanges: they build requests and parse responses.

Methods and messages are those of TensorFlow Serving. This module does not interpret the tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from tunesmith.client.errors import BadResponse
from tunesmith.client.exchange import Call, Exchange, ModelVersion
from tunesmith.client.protos import tunesmith_wire_pb2 as wire
from tunesmith.client.tensors import int32_tensor, to_array

SIGNATURES_FIELD = "signature_def"
"""The only metadata field that TensorFlow Serving supports (get_model_metadata_impl.cc)."""

Inputs = Mapping[str, NDArray[np.integer[Any]] | wire.TensorProto]


def predict(
    model: ModelVersion, signature: str, inputs: Inputs, deadlines: float = 1.0
) -> Exchange[dict[str, NDArray[Any]]]:
    """Run a signature of a model once.

    Args:
        model: model name and version.
        signature: signature name, such as ``serving_default``.
        inputs: arrays by input name: integers, which are sent as int32, or tensors.
        deadlines: factor by which the deadline of the call is multiplied.

    Returns:
        Arrays by output name; strings are object arrays of bytes.

    Raises:
        ComposerError: the call failed, or the response cannot be parsed.
    """
    tensors = {
        name: values if isinstance(values, wire.TensorProto) else int32_tensor(values)
        for name, values in inputs.items()
    }
    request = wire.PredictRequest(model_spec=model.spec(signature), inputs=tensors)
    response = yield Call("Predict", request, model, deadlines)
    return {name: to_array(name, tensor) for name, tensor in response.outputs.items()}


def signatures(
    model: ModelVersion,
) -> Exchange[tuple[ModelVersion, dict[str, wire.SignatureDef]]]:
    """Return the model with the version that answered, and its signatures by name.

    Raises:
        ComposerError: the call failed, or the response cannot be parsed.
    """
    request = wire.GetModelMetadataRequest(
        model_spec=model.spec(), metadata_field=[SIGNATURES_FIELD]
    )
    response = yield Call("GetModelMetadata", request, model)
    packed = response.metadata[SIGNATURES_FIELD]
    # Compares only the type name, as this process may have no message class registered for it.
    if packed.type_url.rpartition("/")[2] != "tensorflow.serving.SignatureDefMap":
        raise BadResponse(f"the metadata of {model} has no signatures: check the server")
    if not response.model_spec.HasField("version"):
        raise BadResponse(f"the metadata of {model} has no version: check the server")
    answered = ModelVersion(model.name, response.model_spec.version.value)
    try:
        content = wire.SignatureDefMap.FromString(packed.value)
    except DecodeError as error:
        raise BadResponse(f"the metadata of {model} cannot be parsed: check the server") from error
    return answered, dict(content.signature_def)


def available_versions(name: str) -> Exchange[list[int]]:
    """Return the available versions of a model, ascending.

    Raises:
        ComposerError: the call failed.
    """
    model = ModelVersion(name)
    request = wire.GetModelStatusRequest(model_spec=model.spec())
    response = yield Call("GetModelStatus", request, model)
    return sorted(
        status.version
        for status in response.model_version_status
        if status.state == wire.ModelVersionStatus.AVAILABLE
    )
