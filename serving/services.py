"""PredictionService and ModelService of TensorFlow Serving, with its own messages.

Only the implemented methods are registered; gRPC answers UNIMPLEMENTED for the others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from tunesmith.serving.errors import (
    ConfigInvalid,
    LabelNotAssignable,
    ModelFolderMissing,
    ModelNotLoadable,
    ModelVersionMissing,
    ServerStopping,
    ServingError,
)
from tunesmith.serving.model_config_file import model_configs
from tunesmith.serving.prediction import predict
from tunesmith.serving.runtime import get_model_metadata_pb2 as metadata_pb2
from tunesmith.serving.runtime import get_model_status_pb2 as status_pb2
from tunesmith.serving.runtime import model_management_pb2 as management_pb2
from tunesmith.serving.runtime import predict_pb2
from tunesmith.serving.status import RequestError, invalid_argument
from tunesmith.serving.store import ModelStore

_LOG = logging.getLogger(__name__)

PREDICTION_SERVICE = "tensorflow.serving.PredictionService"
MODEL_SERVICE = "tensorflow.serving.ModelService"
_SIGNATURE_DEF = "signature_def"

# The codes are those of TensorFlow Serving's server_core.cc and file_system_storage_path_source.cc.
_RELOAD_CODES: dict[type[ServingError], grpc.StatusCode] = {
    ConfigInvalid: grpc.StatusCode.INVALID_ARGUMENT,
    ModelFolderMissing: grpc.StatusCode.INVALID_ARGUMENT,
    ModelVersionMissing: grpc.StatusCode.NOT_FOUND,
    LabelNotAssignable: grpc.StatusCode.FAILED_PRECONDITION,
    ServerStopping: grpc.StatusCode.UNAVAILABLE,
}

# A status message is sent in a header, in up to three bytes for each byte, and gRPC clients accept
# headers of 8 KiB.
_LONGEST_MESSAGE = 2000

Answer = Callable[[Any], Any]


class Services:
    """The methods of PredictionService and ModelService as plain functions of their messages."""

    def __init__(
        self, store: ModelStore, *, tensor_content: bool = False, reload_requests: bool = True
    ) -> None:
        self._store = store
        self._tensor_content = tensor_content
        self._reload_requests = reload_requests

    def predict(self, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        """Run a signature of the model that the request names.

        Raises:
            RequestError: with TensorFlow Serving's status code and message.
        """
        _require_spec(request)
        with self._store.lease(request.model_spec) as servable:
            return predict(servable, request, tensor_content=self._tensor_content)

    def get_model_metadata(
        self, request: metadata_pb2.GetModelMetadataRequest
    ) -> metadata_pb2.GetModelMetadataResponse:
        """Return the signatures of the model that the request names.

        Raises:
            RequestError: with TensorFlow Serving's status code and message.
        """
        _require_spec(request)
        if not request.metadata_field:
            raise invalid_argument(
                "GetModelMetadataRequest must specify at least one metadata_field"
            )
        for field in request.metadata_field:
            if field != _SIGNATURE_DEF:
                raise invalid_argument(f"Metadata field {field} is not supported")
        response = metadata_pb2.GetModelMetadataResponse()
        signatures = metadata_pb2.SignatureDefMap()
        with self._store.lease(request.model_spec) as servable:
            response.model_spec.version.value = servable.version
            for name, signature in servable.signatures.items():
                signatures.signature_def[name].CopyFrom(signature)
        response.model_spec.name = request.model_spec.name
        response.metadata[_SIGNATURE_DEF].Pack(signatures)
        return response

    def get_model_status(
        self, request: status_pb2.GetModelStatusRequest
    ) -> status_pb2.GetModelStatusResponse:
        """Return the state of each version of the model that the request names.

        Raises:
            RequestError: with TensorFlow Serving's status code and message.
        """
        _require_spec(request)
        response = status_pb2.GetModelStatusResponse()
        for status in self._store.statuses(request.model_spec):
            entry = response.model_version_status.add(version=status.version, state=status.state)
            entry.status.error_code = status.code
            entry.status.error_message = status.message
        return response

    def handle_reload_config_request(
        self, request: management_pb2.ReloadConfigRequest
    ) -> management_pb2.ReloadConfigResponse:
        """Replace the served models by those of the request; returns when all are available.

        A refused request changes nothing.

        Raises:
            RequestError: with TensorFlow Serving's status code, and its message if it has one.
        """
        if not self._reload_requests:
            # A SavedModel is a program: a client that can choose the folder can run any program.
            raise RequestError(
                grpc.StatusCode.PERMISSION_DENIED,
                "reload requests are disabled because this server listens on a network: edit its "
                "--model-config-file, or start it with --reload-requests",
            )
        if request.config.WhichOneof("config") != "model_config_list":
            raise invalid_argument(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. Only "
                "ModelConfigList is currently supported"
            )
        try:
            self._store.reload(model_configs(request.config.model_config_list.config, None))
        except ServingError as error:
            _LOG.warning("reload refused", extra={"reason": error})
            message = str(error)
            if isinstance(error, ModelNotLoadable):
                message = f"1 model(s) did not become available: {{{error}}}"
            code = _RELOAD_CODES.get(type(error), grpc.StatusCode.UNKNOWN)
            raise RequestError(code, message) from error
        response = management_pb2.ReloadConfigResponse()
        response.status.SetInParent()
        return response


def handlers(services: Services) -> tuple[grpc.GenericRpcHandler, ...]:
    """Return the handlers of `services` to register with a gRPC server."""
    return (
        grpc.method_handlers_generic_handler(
            PREDICTION_SERVICE,
            {
                "Predict": _method(services.predict, predict_pb2.PredictRequest),
                "GetModelMetadata": _method(
                    services.get_model_metadata, metadata_pb2.GetModelMetadataRequest
                ),
            },
        ),
        grpc.method_handlers_generic_handler(
            MODEL_SERVICE,
            {
                "GetModelStatus": _method(
                    services.get_model_status, status_pb2.GetModelStatusRequest
                ),
                "HandleReloadConfigRequest": _method(
                    services.handle_reload_config_request, management_pb2.ReloadConfigRequest
                ),
            },
        ),
    )


def _method(answer: Answer, request_type: Any) -> grpc.RpcMethodHandler:
    def behaviour(data: bytes, context: grpc.ServicerContext) -> Any:
        if not context.is_active():
            # While it waited for a thread, its deadline passed or its client cancelled.
            context.abort(
                grpc.StatusCode.DEADLINE_EXCEEDED,
                "the deadline passed before the request was processed",
            )
        try:
            return answer(_message(request_type, data))
        except RequestError as error:
            _LOG.debug("request refused", extra={"code": error.code.name, "reason": error.message})
            context.abort(error.code, _shortened(error.message))

    return grpc.unary_unary_rpc_method_handler(
        behaviour,
        response_serializer=lambda message: message.SerializeToString(),
    )


def _message(request_type: Any, data: bytes) -> Any:
    """Parse a request. (If gRPC did it, an error would be a logged traceback and INTERNAL.)"""
    try:
        return request_type.FromString(data)
    except DecodeError as error:
        name = request_type.DESCRIPTOR.full_name
        raise invalid_argument(f"the request is not a valid {name} message") from error


def _shortened(message: str) -> str:
    """Return `message`, truncated if it is too long for a client to receive."""
    data = message.encode(errors="replace")
    if len(data) <= _LONGEST_MESSAGE:
        return message
    return data[:_LONGEST_MESSAGE].decode(errors="ignore") + "..."


def _require_spec(request: Any) -> None:
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
