"""One gRPC channel to a model server: the three calls that a composer needs, and their errors.

The methods and messages are TensorFlow Serving's, whichever program answers. Every call has a
deadline, UNAVAILABLE is tried again with back-off by gRPC itself, and every failure becomes one of
:mod:`tunesmith.client.errors`. What the tensors mean is not known here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from tunesmith.client import errors
from tunesmith.client.protos import tunesmith_wire_pb2 as wire
from tunesmith.client.tensors import int32_tensor, to_array

DEFAULT_DEADLINE = 30.0
"""Seconds for one call: far above a forward pass, below a person's patience."""

SIGNATURES_FIELD = "signature_def"
"""The one metadata field that TensorFlow Serving answers (get_model_metadata_impl.cc)."""

_PREDICTION = "tensorflow.serving.PredictionService"
_MODEL = "tensorflow.serving.ModelService"

# gRPC allows five attempts at most; with this back-off they span about a second and a half.
_SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{"service": _PREDICTION}, {"service": _MODEL}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}

_CHANNEL_OPTIONS = (
    ("grpc.enable_retries", 1),
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    # A retried call needs a channel that tries to connect as often as the call is retried; gRPC
    # would wait a second before its second try.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # gRPC's 4 MB would stop 1,000 rows of a vocabulary of 1,000 frames.
    ("grpc.max_receive_message_length", 256 * 2**20),
)


@dataclass(frozen=True)
class ModelVersion:
    """A servable: a model's name and one version of it; None is the latest."""

    name: str
    version: int | None = None

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name} version {self.version}"

    def spec(self, signature: str = "") -> wire.ModelSpec:
        """Return the message that names this servable and `signature`."""
        spec = wire.ModelSpec(name=self.name, signature_name=signature)
        if self.version is not None:
            spec.version.value = self.version
        return spec


class Connection:
    """A channel, opened once and used until :meth:`close`; safe to share between threads.

    Args:
        address: ``HOST:PORT``, ``[IPv6]:PORT`` or ``unix:PATH``.
        deadline: seconds that one call may take, its retries included.
        credentials: of ``grpc.ssl_channel_credentials``; plain text if None.

    Raises:
        BadAddress: the address has no port.
        BadOption: the deadline is not positive.
    """

    def __init__(
        self,
        address: str,
        deadline: float = DEFAULT_DEADLINE,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        if not address.startswith("unix:") and not address.rpartition(":")[2].isdecimal():
            raise errors.BadAddress(f"{address!r} is no server address: write HOST:PORT")
        if not deadline > 0:
            raise errors.BadOption(f"a deadline is a positive number of seconds, not {deadline:g}")
        self.address = address
        self._deadline = deadline
        self._secure = credentials is not None
        self._channel = (
            grpc.insecure_channel(address, options=_CHANNEL_OPTIONS)
            if credentials is None
            else grpc.secure_channel(address, credentials, options=_CHANNEL_OPTIONS)
        )
        self._predict = self._method(_PREDICTION, "Predict", wire.PredictResponse)
        self._metadata = self._method(
            _PREDICTION, "GetModelMetadata", wire.GetModelMetadataResponse
        )
        self._status = self._method(_MODEL, "GetModelStatus", wire.GetModelStatusResponse)

    def close(self) -> None:
        """Close the channel; calls that are under way are cancelled."""
        self._channel.close()

    def predict(
        self, model: ModelVersion, signature: str, inputs: Mapping[str, NDArray[np.integer[Any]]]
    ) -> dict[str, NDArray[Any]]:
        """Run a signature of a model once.

        Args:
            model: which servable.
            signature: its signature, such as ``serving_default``.
            inputs: arrays of integers by input name, sent as int32.

        Returns:
            Arrays by output name, strings as object arrays of bytes.

        Raises:
            ComposerError: the call failed, or the answer cannot be read.
        """
        request = wire.PredictRequest(
            model_spec=model.spec(signature),
            inputs={name: int32_tensor(values) for name, values in inputs.items()},
        )
        response = self._call(self._predict, request, model)
        return {name: to_array(name, tensor) for name, tensor in response.outputs.items()}

    def signatures(self, model: ModelVersion) -> tuple[ModelVersion, dict[str, wire.SignatureDef]]:
        """Return the servable that answered, its version now known, and its signatures by name.

        Raises:
            ComposerError: the call failed, or the answer cannot be read.
        """
        request = wire.GetModelMetadataRequest(
            model_spec=model.spec(), metadata_field=[SIGNATURES_FIELD]
        )
        response = self._call(self._metadata, request, model)
        packed = response.metadata[SIGNATURES_FIELD]
        # By the type's name alone: this process may know the message under our package only.
        if packed.type_url.rpartition("/")[2] != "tensorflow.serving.SignatureDefMap":
            raise errors.BadResponse(f"{self.address} answered metadata without signatures")
        if not response.model_spec.HasField("version"):
            raise errors.BadResponse(f"{self.address} answered metadata without a model version")
        answered = ModelVersion(model.name, response.model_spec.version.value)
        try:
            content = wire.SignatureDefMap.FromString(packed.value)
        except DecodeError as error:
            raise errors.BadResponse(f"{self.address} answered broken metadata") from error
        return answered, dict(content.signature_def)

    def available_versions(self, name: str) -> list[int]:
        """Return the versions of a model that are being served, ascending.

        Raises:
            ComposerError: the call failed.
        """
        model = ModelVersion(name)
        request = wire.GetModelStatusRequest(model_spec=model.spec())
        response = self._call(self._status, request, model)
        return sorted(
            status.version
            for status in response.model_version_status
            if status.state == wire.ModelVersionStatus.AVAILABLE
        )

    def _method(self, service: str, method: str, response: Any) -> Any:
        return self._channel.unary_unary(
            f"/{service}/{method}",
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=response.FromString,
        )

    def _call(self, method: Any, request: Any, model: ModelVersion) -> Any:
        try:
            return method(request, timeout=self._deadline)
        except grpc.RpcError as error:
            raise self._translated(error, model) from error
        except ValueError as error:  # grpc's word for a channel that was closed
            raise errors.ServerUnavailable(
                f"the connection to {self.address} is closed: open a new one"
            ) from error

    def _translated(self, error: Any, model: ModelVersion) -> errors.ComposerError:
        """Return the error that a gRPC status stands for."""
        status = error.code().name
        details = " ".join((error.details() or "").split())
        match status:
            case "UNAVAILABLE":
                hint = "start one with `tunesmith serve`, or check the address"
                if self._secure:
                    hint += " and the TLS certificates"
                return errors.ServerUnavailable(f"no server answers at {self.address}: {hint}")
            case "DEADLINE_EXCEEDED":
                return errors.ServerTooSlow(
                    f"{self.address} did not answer within {self._deadline:g} s: "
                    "give a longer deadline"
                )
            case "RESOURCE_EXHAUSTED":
                return errors.ServerBusy(
                    f"{self.address} is overloaded, try again or with fewer songs: {details}"
                )
            case "NOT_FOUND":
                return errors.ModelNotFound(
                    f"the server at {self.address} does not serve {model}: "
                    "check the model's name and version"
                )
            case "UNIMPLEMENTED":
                return errors.NotAComposer(
                    f"the program at {self.address} is no model server: check the address"
                )
        return errors.ServerError(f"{self.address} answered {status}: {details}", status)
