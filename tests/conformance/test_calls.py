"""Around a request: deadlines, sizes, methods, health."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    regression_pb2,
    session_service_pb2,
)

INVALID = grpc.StatusCode.INVALID_ARGUMENT
UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED


def test_a_deadline_that_passes_is_told_and_hurts_nobody_else(server: Any) -> None:
    request = server.request(tokens=server.windows(500))
    # No more than a batch queue holds, which would refuse the rest sooner than the deadline.
    for _ in range(2):
        with pytest.raises(grpc.RpcError) as caught:
            server.prediction.Predict(request, timeout=0.001)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert server.still_answers()


def test_a_call_that_is_cancelled_hurts_nobody_else(server: Any) -> None:
    calls = [
        server.prediction.Predict.future(server.request(tokens=server.windows(100)), timeout=60)
        for _ in range(3)
    ]
    for call in calls:
        call.cancel()
    assert {call.code() for call in calls} <= {grpc.StatusCode.CANCELLED, grpc.StatusCode.OK}
    assert server.still_answers()


def test_a_message_over_the_servers_limit_is_resource_exhausted(server: Any) -> None:
    """TensorFlow Serving takes 2 GiB, more than gRPC sends: model_servers/server.cc."""
    limit = server.place.receive_limit
    if limit is None:
        pytest.skip("the limit of a server elsewhere is not known")
    windows = np.zeros((limit // 4 // server.window + 1, server.window), np.int32)
    code, details = server.refusal(server.request(tokens=windows))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert str(limit) in details
    assert server.still_answers()


def example_request(server: Any, method: str) -> Any:
    """A well-formed request of an API that takes tf.Example, for the served model."""
    match method:
        case "Classify":
            request = classification_pb2.ClassificationRequest()
            request.model_spec.name = server.place.model
        case "Regress":
            request = regression_pb2.RegressionRequest()
            request.model_spec.name = server.place.model
        case "MultiInference":
            request = inference_pb2.MultiInferenceRequest()
            task = request.tasks.add(method_name="tensorflow/serving/classify")
            task.model_spec.name = server.place.model
    request.input.example_list.examples.add()
    return request


@pytest.mark.parametrize("method", ["Classify", "Regress", "MultiInference"])
def test_the_apis_of_tf_example_are_refused(server: Any, method: str) -> None:
    """A composer has no signature for them.

    TensorFlow Serving looks at the signature's method name and answers INVALID_ARGUMENT:
    servables/tensorflow/classifier.cc (GetClassificationSignatureDef), regressor.cc and
    multi_inference.cc. A server that has none of these methods at all says UNIMPLEMENTED.
    """
    call = getattr(server.prediction, method)
    code, details = server.refusal(example_request(server, method), call)
    assert code in {INVALID, UNIMPLEMENTED}
    assert details


def test_sessions_are_not_served(server: Any) -> None:
    """model_servers/server.cc registers ModelService and PredictionService alone."""
    call = server.channel.unary_unary(
        "/tensorflow.serving.SessionService/SessionRun",
        request_serializer=session_service_pb2.SessionRunRequest.SerializeToString,
    )
    request = session_service_pb2.SessionRunRequest()
    request.model_spec.name = server.place.model
    assert server.refusal(request, call)[0] is UNIMPLEMENTED


@pytest.mark.parametrize("path", ["PredictionService/NoSuchMethod", "NoSuchService/Predict"])
def test_methods_and_services_that_nobody_has_are_unimplemented(server: Any, path: str) -> None:
    call = server.channel.unary_unary(f"/tensorflow.serving.{path}")
    assert server.refusal(b"", call)[0] is UNIMPLEMENTED


def test_the_server_says_that_it_is_serving(server: Any) -> None:
    """TensorFlow Serving does under --enable_grpc_healthcheck_service: model_servers/server.cc.

    gRPC's own health service (src/cpp/server/health/default_health_check_service.cc) answers
    NOT_FOUND for a service that was not named to it.
    """
    health = health_pb2_grpc.HealthStub(server.channel)
    try:
        answer = health.Check(health_pb2.HealthCheckRequest(), timeout=30)
    except grpc.RpcError as error:
        if server.place.foreign and error.code() is UNIMPLEMENTED:
            pytest.skip("its health service is off: --enable_grpc_healthcheck_service")
        raise
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    unknown = health_pb2.HealthCheckRequest(service="nope")
    assert server.refusal(unknown, health.Check)[0] is grpc.StatusCode.NOT_FOUND
