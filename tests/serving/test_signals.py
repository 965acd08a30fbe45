"""The real command at its end: SIGTERM while requests are running, and a second one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tunesmith.serving import EmbeddedServer

TOKENS = np.zeros((1, 50))

Start = Callable[..., tuple[subprocess.Popen[str], dict[str, Any]]]


@pytest.fixture
def start(shared_server: EmbeddedServer, tmp_path: Path) -> Iterator[Start]:
    """``start(option, …)`` is a running ``tunesmith serve``, and the log entry of its address."""
    started: list[subprocess.Popen[str]] = []
    model = ["--model-dir", str(shared_server.model_dir)]
    command = [sys.executable, "-m", "tunesmith.cli.main", "serve", *model, "--engine", "embedded"]

    def call(*options: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
        process = subprocess.Popen(
            [*command, "--log-format", "json", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        started.append(process)
        assert process.stderr
        for line in process.stderr:
            entry = json.loads(line)
            if entry["event"] == "serving":
                return process, entry
        raise AssertionError("the server ended")

    yield call
    for process in started:
        process.kill()
        process.communicate()


def at(address: str) -> SimpleNamespace:
    """Return what `connect` takes for a server."""
    return SimpleNamespace(address=address)


def test_a_stop_finishes_what_runs_refuses_what_comes_and_leaves_nothing(
    start: Start, connect: Any, hold: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("s") / "server.sock"
    process, entry = start(
        *("--port", "0", "--socket", str(path), "--metrics-port", "0", "--log-level", "debug")
    )
    assert entry["metrics"].startswith("http://127.0.0.1:")
    address, asking_address = entry["address"].split(",")
    assert asking_address == f"unix:{path}"
    asking, late = connect(at(asking_address)), connect(at(address))
    late.predict(tokens=TOKENS)
    watch = health_pb2_grpc.HealthStub(asking.channel).Watch(health_pb2.HealthCheckRequest())
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    request = asking.request("held", folder=hold.folder)
    running = asking.prediction.Predict.future(request, timeout=120)
    hold.wait_for_start()
    process.send_signal(signal.SIGTERM)
    assert [each.status for each in watch] == [health_pb2.HealthCheckResponse.NOT_SERVING]
    with pytest.raises(grpc.RpcError) as caught:
        late.predict(tokens=TOKENS)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert not running.done()
    hold.release()
    assert list(running.result().outputs["done"].int_val) == [1]
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    assert not path.exists()
    entries = [json.loads(line) for line in err.splitlines()]
    events = [each["event"] for each in entries if each["level"] == "info"]
    assert events == ["stopping", "version unloaded", "stopped"]
    answered = [each for each in entries if each["event"] == "request"]
    assert [(each["signature"], each["code"]) for each in answered] == [("", "OK"), ("held", "OK")]


def test_a_second_signal_waits_for_nothing(start: Start, connect: Any, hold: Any) -> None:
    process, entry = start("--port", "0")
    asking = connect(at(entry["address"]))
    request = asking.request("held", folder=hold.folder)
    running = asking.prediction.Predict.future(request, timeout=120)
    hold.wait_for_start()
    process.send_signal(signal.SIGTERM)
    assert process.stderr
    assert json.loads(process.stderr.readline())["event"] == "stopping"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=15) == 128 + signal.SIGINT
    assert running.code() is grpc.StatusCode.UNAVAILABLE
