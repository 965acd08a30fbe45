"""The three calls that a composer needs, as exchanges: requests built, answers read.

The methods and messages are TensorFlow Serving's, whichever program answers. What the tensors mean
is not known here.
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
"""The one metadata field that TensorFlow Serving answers (get_model_metadata_impl.cc)."""

Inputs = Mapping[str, NDArray[np.integer[Any]] | wire.TensorProto]


def predict(
    model: ModelVersion, signature: str, inputs: Inputs, deadlines: float = 1.0
) -> Exchange[dict[str, NDArray[Any]]]:
    """Run a signature of a model once.

    Args:
        model: which servable.
        signature: its signature, such as ``serving_default``.
        inputs: by input name arrays of integers, which are sent as int32, or tensors.
        deadlines: how many times the usual deadline it may take.

    Returns:
        Arrays by output name, strings as object arrays of bytes.

    Raises:
        ComposerError: the call failed, or the answer cannot be read.
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
    """Return the servable that answered, its version now known, and its signatures by name.

    Raises:
        ComposerError: the call failed, or the answer cannot be read.
    """
    request = wire.GetModelMetadataRequest(
        model_spec=model.spec(), metadata_field=[SIGNATURES_FIELD]
    )
    response = yield Call("GetModelMetadata", request, model)
    packed = response.metadata[SIGNATURES_FIELD]
    # By the type's name alone: this process may know the message under our package only.
    if packed.type_url.rpartition("/")[2] != "tensorflow.serving.SignatureDefMap":
        raise BadResponse(f"the metadata of {model} came without signatures: check the server")
    if not response.model_spec.HasField("version"):
        raise BadResponse(f"the metadata of {model} came without a version: check the server")
    answered = ModelVersion(model.name, response.model_spec.version.value)
    try:
        content = wire.SignatureDefMap.FromString(packed.value)
    except DecodeError as error:
        raise BadResponse(f"the metadata of {model} is broken: check the server") from error
    return answered, dict(content.signature_def)


def available_versions(name: str) -> Exchange[list[int]]:
    """Return the versions of a model that are being served, ascending.

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
