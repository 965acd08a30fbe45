"""TensorFlow Serving's gRPC services over a model store, with its own messages.

Only the methods that are served are registered; gRPC answers UNIMPLEMENTED to the others by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import grpc

from tunesmith.serving.prediction import predict
from tunesmith.serving.runtime import get_model_metadata_pb2 as metadata_pb2
from tunesmith.serving.runtime import get_model_status_pb2 as status_pb2
from tunesmith.serving.runtime import predict_pb2
from tunesmith.serving.status import RequestError, invalid_argument
from tunesmith.serving.store import ModelStore

_LOG = logging.getLogger(__name__)

PREDICTION_SERVICE = "tensorflow.serving.PredictionService"
MODEL_SERVICE = "tensorflow.serving.ModelService"
_SIGNATURE_DEF = "signature_def"

Answer = Callable[[Any], Any]


class Services:
    """The answers to Predict, GetModelMetadata and GetModelStatus, free of gRPC's plumbing."""

    def __init__(self, store: ModelStore, *, tensor_content: bool = False) -> None:
        self._store = store
        self._tensor_content = tensor_content

    def predict(self, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        """Run a signature of the model that the request names.

        Raises:
            RequestError: with TensorFlow Serving's code and words.
        """
        _require_spec(request)
        with self._store.lease(request.model_spec) as servable:
            return predict(servable, request, tensor_content=self._tensor_content)

    def get_model_metadata(
        self, request: metadata_pb2.GetModelMetadataRequest
    ) -> metadata_pb2.GetModelMetadataResponse:
        """Return the signatures of the model that the request names.

        Raises:
            RequestError: with TensorFlow Serving's code and words.
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
            RequestError: with TensorFlow Serving's code and words.
        """
        _require_spec(request)
        response = status_pb2.GetModelStatusResponse()
        for status in self._store.statuses(request.model_spec):
            entry = response.model_version_status.add(version=status.version, state=status.state)
            entry.status.error_code = status.code
            entry.status.error_message = status.message
        return response


def handlers(services: Services) -> tuple[grpc.GenericRpcHandler, ...]:
    """Return `services` as what a gRPC server registers."""
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
                )
            },
        ),
    )


def _method(answer: Answer, request_type: Any) -> grpc.RpcMethodHandler:
    def behaviour(request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return answer(request)
        except RequestError as error:
            _LOG.debug("request refused code=%s reason=%s", error.code.name, error.message)
            context.abort(error.code, error.message)

    return grpc.unary_unary_rpc_method_handler(
        behaviour,
        request_deserializer=request_type.FromString,
        response_serializer=lambda message: message.SerializeToString(),
    )


def _require_spec(request: Any) -> None:
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
