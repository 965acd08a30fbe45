"""A server's life: its port, its health, its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from tunesmith.serving import AddressUnavailable, EmbeddedServer, ServerOptions, serve

TOKENS = np.zeros((1, 50))
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)


def test_it_listens_on_loopback_at_the_port_it_reports(shared_server: EmbeddedServer) -> None:
    assert shared_server.port != 0
    assert shared_server.address == f"127.0.0.1:{shared_server.port}"
    with socket.create_connection(("127.0.0.1", shared_server.port), timeout=5):
        pass


@pytest.mark.parametrize("holder", ["server", "socket"])
def test_a_port_in_use_is_refused(shared_server: EmbeddedServer, holder: str) -> None:
    with socket.socket() as other:
        port = shared_server.port
        if holder == "socket":
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
        with pytest.raises(AddressUnavailable, match=f"port {port} on 127.0.0.1 is in use"):
            EmbeddedServer(shared_server.model_dir, ServerOptions(port=port)).start()


@pytest.mark.parametrize(
    ("host", "port"), [("192.0.2.1", 0), ("no.such.host.invalid", 0), ("127.0.0.1", 70000)]
)
def test_an_address_that_cannot_be_had_is_refused_in_one_line(
    shared_server: EmbeddedServer, host: str, port: int
) -> None:
    with pytest.raises(AddressUnavailable, match="cannot listen on") as caught:
        EmbeddedServer(shared_server.model_dir, ServerOptions(host=host, port=port)).start()
    assert "\n" not in str(caught.value)


def test_a_name_is_refused_where_any_of_its_addresses_is_taken(
    shared_server: EmbeddedServer,
) -> None:
    options = ServerOptions(host="localhost", port=shared_server.port)
    with pytest.raises(AddressUnavailable, match="on localhost is in use"):
        EmbeddedServer(shared_server.model_dir, options).start()


def test_health_of_the_server_and_of_its_services(caller: Any) -> None:
    health = health_pb2_grpc.HealthStub(caller.channel)
    for service in ("", "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"):
        request = health_pb2.HealthCheckRequest(service=service)
        assert health.Check(request, timeout=30).status == SERVING
    with pytest.raises(grpc.RpcError) as caught:
        health.Check(health_pb2.HealthCheckRequest(service="nope"), timeout=30)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_reflection_lists_the_services_and_describes_them(caller: Any) -> None:
    database = ProtoReflectionDescriptorDatabase(caller.channel)
    assert sorted(database.get_services()) == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "tensorflow.serving.ModelService",
        "tensorflow.serving.PredictionService",
    ]
    pool = DescriptorPool(database)
    prediction = pool.FindServiceByName("tensorflow.serving.PredictionService").methods_by_name
    predict = prediction["Predict"]
    assert predict.input_type.fields_by_name["model_spec"].number == 1
    models = pool.FindServiceByName("tensorflow.serving.ModelService").methods_by_name
    assert "config" in models["HandleReloadConfigRequest"].input_type.fields_by_name


def test_reflection_answers_under_its_newer_name(caller: Any) -> None:
    method = caller.channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    (answer,) = method(iter([request]), timeout=30)
    names = [each.name for each in answer.list_services_response.service]
    assert "tensorflow.serving.PredictionService" in names


def test_a_request_too_many_is_refused_at_once_and_the_next_ones_are_answered(
    shared_server: EmbeddedServer, connect: Any, hold: Any
) -> None:
    options = ServerOptions(port=0, metrics_port=0, workers=1, max_requests=3)
    with EmbeddedServer(shared_server.model_dir, options) as server:
        caller = connect(server)
        caller.predict(tokens=TOKENS)
        request = caller.request("held", folder=hold.folder)
        accepted = [caller.prediction.Predict.future(request, timeout=120) for _ in range(3)]
        until(lambda: server.in_flight == 3)
        with pytest.raises(grpc.RpcError) as caught:
            caller.predict(tokens=TOKENS)
        assert not any(each.done() for each in accepted)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert caught.value.details() == "Server Threadpool Exhausted"

        # A busy server is not a dead one.
        health = health_pb2_grpc.HealthStub(caller.channel)
        assert health.Check(health_pb2.HealthCheckRequest(), timeout=30).status == SERVING
        assert server.metrics_url
        with urllib.request.urlopen(server.metrics_url, timeout=10) as answer:
            page = answer.read().decode()
        assert "\ntunesmith_requests_in_flight 3.0\n" in page
        assert "\ntunesmith_requests_refused_total 1.0\n" in page
        assert not any(each.done() for each in accepted)

        hold.release()
        answered = [list(each.result().outputs["done"].int_val) for each in accepted]
        assert answered == [[1]] * 3
        until(lambda: server.in_flight == 0)
        caller.predict(tokens=TOKENS)


def test_a_message_that_is_too_long_is_refused(shared_server: EmbeddedServer, connect: Any) -> None:
    options = ServerOptions(port=0, max_receive_bytes=100_000, max_send_bytes=5_000)
    with EmbeddedServer(shared_server.model_dir, options) as server:
        caller = connect(server)
        for rows in (2000, 49):  # 400 kB in; 8 kB out
            with pytest.raises(grpc.RpcError) as caught:
                caller.predict(tokens=np.full((rows, 50), 40))
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        caller.predict(tokens=TOKENS)


def is_refused(caller: Any) -> bool:
    """Return whether a request is refused as UNAVAILABLE, as by a server that is stopping."""
    try:
        caller.predict(tokens=TOKENS)
    except grpc.RpcError as error:
        return error.code() is grpc.StatusCode.UNAVAILABLE
    return False


def test_a_stop_lets_running_requests_finish_and_refuses_new_ones(
    shared_server: EmbeddedServer, connect: Any, hold: Any
) -> None:
    server = EmbeddedServer(shared_server.model_dir, ServerOptions(port=0)).start()
    caller, late = connect(server), connect(server)
    late.predict(tokens=TOKENS)
    request = caller.request("held", folder=hold.folder)
    running = caller.prediction.Predict.future(request, timeout=120)
    hold.wait_for_start()
    stopper = threading.Thread(target=server.stop)
    stopper.start()
    until(lambda: is_refused(late))
    assert not running.done()
    hold.release()
    assert list(running.result().outputs["done"].int_val) == [1]
    stopper.join()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=5)


def test_a_health_watcher_hears_of_the_stop_and_does_not_hold_it_up(
    shared_server: EmbeddedServer, connect: Any
) -> None:
    server = EmbeddedServer(shared_server.model_dir, ServerOptions(port=0)).start()
    health = health_pb2_grpc.HealthStub(connect(server).channel)
    watch = health.Watch(health_pb2.HealthCheckRequest())
    assert next(watch).status == SERVING
    started = time.monotonic()
    server.stop(drain_seconds=30)
    assert time.monotonic() - started < 5
    assert [each.status for each in watch] == [NOT_SERVING]


def test_a_reflection_stream_that_stays_open_does_not_hold_up_a_stop(
    shared_server: EmbeddedServer, connect: Any
) -> None:
    server = EmbeddedServer(shared_server.model_dir, ServerOptions(port=0)).start()
    stub = reflection_pb2_grpc.ServerReflectionStub(connect(server).channel)
    asked = threading.Event()

    def questions() -> Any:
        yield reflection_pb2.ServerReflectionRequest(list_services="")
        asked.wait(60)

    stream = stub.ServerReflectionInfo(questions())
    next(stream)
    started = time.monotonic()
    server.stop(drain_seconds=30)
    assert time.monotonic() - started < 5
    asked.set()
    with pytest.raises(grpc.RpcError):
        next(stream)


def test_a_stop_does_not_wait_beyond_its_time(
    shared_server: EmbeddedServer, connect: Any, hold: Any
) -> None:
    server = EmbeddedServer(shared_server.model_dir, ServerOptions(port=0)).start()
    caller = connect(server)
    request = caller.request("held", folder=hold.folder)
    running = caller.prediction.Predict.future(request, timeout=120)
    hold.wait_for_start()
    server.stop(drain_seconds=0.1)
    assert running.code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)


def test_a_stopped_server_can_be_stopped_again_and_waits_for_nothing(
    shared_server: EmbeddedServer,
) -> None:
    server = EmbeddedServer(shared_server.model_dir, ServerOptions(port=0))
    server.stop()
    server.start()
    assert server.wait(timeout=0.05)
    server.stop()
    server.stop()
    assert not server.wait(timeout=0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_serving_after_the_running_request(
    shared_server: EmbeddedServer, connect: Any, hold: Any, number: signal.Signals
) -> None:
    running: list[Any] = []

    def ask_and_signal(server: EmbeddedServer) -> None:
        caller, late = connect(server), connect(server)
        late.predict(tokens=TOKENS)
        request = caller.request("held", folder=hold.folder)
        running.append(caller.prediction.Predict.future(request, timeout=120))
        hold.wait_for_start()

        def signal_and_release() -> None:
            os.kill(os.getpid(), number)
            until(lambda: is_refused(late))
            running.append(running[0].done())
            hold.release()

        threading.Thread(target=signal_and_release).start()

    before = signal.getsignal(number)
    serve(shared_server.model_dir, ServerOptions(port=0), ready=ask_and_signal)
    assert list(running[0].result().outputs["done"].int_val) == [1]
    assert running[1] is False
    assert signal.getsignal(number) is before


def test_the_package_is_imported_without_tensorflow() -> None:
    code = "import sys, tunesmith.serving; print('tensorflow' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.home()
    )
    assert done.stdout.strip() == "False"
