"""A server's life: its port, its health, its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tunesmith.serving import AddressUnavailable, EmbeddedServer, ServerOptions, serve

TOKENS = np.zeros((1, 50))
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

PROGRAM = """
import sys
from tunesmith.serving import ServerOptions, serve
serve(sys.argv[1], ServerOptions(port=0), ready=lambda server: print(server.address, flush=True))
print("ended", flush=True)
"""


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


def test_a_stop_lets_running_requests_finish_and_refuses_new_ones(
    shared_server: EmbeddedServer, connect: Any
) -> None:
    server = EmbeddedServer(shared_server.model_dir, ServerOptions(port=0)).start()
    caller, late = connect(server), connect(server)
    late.predict(tokens=TOKENS)
    running = caller.prediction.Predict.future(caller.request("slow", steps=500_000), timeout=120)
    time.sleep(0.2)
    stopper = threading.Thread(target=server.stop)
    stopper.start()
    time.sleep(0.1)
    with pytest.raises(grpc.RpcError) as caught:
        late.predict(tokens=TOKENS)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert list(running.result().outputs["counted"].int_val) == [500_000]
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


def test_a_stop_does_not_wait_beyond_its_time(shared_server: EmbeddedServer, connect: Any) -> None:
    server = EmbeddedServer(shared_server.model_dir, ServerOptions(port=0)).start()
    caller = connect(server)
    running = caller.prediction.Predict.future(caller.request("slow", steps=500_000), timeout=120)
    time.sleep(0.2)
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
    shared_server: EmbeddedServer, connect: Any, number: signal.Signals
) -> None:
    running: list[Any] = []

    def ask_and_signal(server: EmbeddedServer) -> None:
        caller = connect(server)
        caller.predict(tokens=TOKENS)
        request = caller.request("slow", steps=300_000)
        running.append(caller.prediction.Predict.future(request, timeout=120))
        threading.Timer(0.2, os.kill, (os.getpid(), number)).start()

    before = signal.getsignal(number)
    serve(shared_server.model_dir, ServerOptions(port=0), ready=ask_and_signal)
    assert list(running[0].result().outputs["counted"].int_val) == [300_000]
    assert signal.getsignal(number) is before


def test_a_server_program_is_quiet_and_ends_well(shared_server: EmbeddedServer) -> None:
    command = [sys.executable, "-c", PROGRAM, str(shared_server.model_dir)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("127.0.0.1:")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
        assert process.stdout.read() == "ended\n"
        assert process.stderr.read() == ""


def test_the_package_is_imported_without_tensorflow() -> None:
    code = "import sys, tunesmith.serving; print('tensorflow' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.home()
    )
    assert done.stdout.strip() == "False"
