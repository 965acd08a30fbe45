"""The ready file of ``tunesmith serve``: written when the server answers, whichever it is."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from tunesmith.cli.ready_file import Ready, answers, write_when_it_answers

SERVE = [sys.executable, "-m", "tunesmith.cli.main", "serve"]

# Stands for tensorflow_model_server: it answers on its port, once the test lets it.
PROGRAM = f"""#!{sys.executable}
import os, sys, time
from concurrent.futures import ThreadPoolExecutor
import grpc
while not os.path.exists({{gate!r}}):
    time.sleep(0.01)
(port,) = [word.partition("=")[2] for word in sys.argv if word.startswith("--port=")]
server = grpc.server(ThreadPoolExecutor(1))
server.add_insecure_port("127.0.0.1:" + port)
server.start()
server.wait_for_termination()
"""


def wait_for(path: Path) -> dict[str, Any]:
    until = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < until, f"{path} was not written"
        time.sleep(0.02)
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(command: list[str], **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stderr=subprocess.PIPE, **more)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_embedded_server_says_where_it_answers(model_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "ready.json"
    path.write_text("of a server that is gone")
    command = [*SERVE, "--engine", "embedded", "--model-dir", str(model_dir), "--port", "0"]
    with started([*command, "--model-name", "bach", "--ready-file", str(path)]) as process:
        while path.exists() and path.read_text().startswith("of a server"):
            time.sleep(0.02)
        ready = wait_for(path)
        assert (ready["engine"], ready["model"], ready["pid"]) == ("embedded", "bach", process.pid)
        assert answers(ready["address"], tls=False)
    assert [each.name for each in tmp_path.iterdir()] == ["ready.json"]


def test_a_program_in_the_place_of_the_command_is_waited_for(tmp_path: Path) -> None:
    path, gate, port = tmp_path / "ready.json", tmp_path / "gate", free_port()
    program = tmp_path / "bin" / "tensorflow_model_server"
    program.parent.mkdir()
    program.write_text(PROGRAM.format(gate=str(gate)))
    program.chmod(0o755)
    version = tmp_path / "model" / "1"
    version.mkdir(parents=True)
    (version / "saved_model.pb").touch()
    command = [*SERVE, "--engine", "tensorflow-serving", "--model-dir", str(version.parent)]
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    with started(
        [*command, "--port", str(port), "--ready-file", str(path)], env=environment
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"note: ")
        assert not path.exists()
        gate.touch()
        assert wait_for(path) == {
            "engine": "tensorflow-serving",
            "address": f"127.0.0.1:{port}",
            "model": "tunesmith",
            "pid": process.pid,
        }


def test_a_server_that_ends_before_it_answers_leaves_no_file(tmp_path: Path) -> None:
    with started([sys.executable, "-c", "pass"]) as process:
        ready = Ready("docker", f"127.0.0.1:{free_port()}", "tunesmith", process.pid)
        process.wait()
        write_when_it_answers(tmp_path / "ready.json", ready, tls=False)
    assert list(tmp_path.iterdir()) == []


def test_an_open_port_behind_which_nothing_answers_is_not_ready() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"

        def close_at_once() -> None:
            listening.accept()[0].close()

        closing = threading.Thread(target=close_at_once)
        closing.start()
        assert not answers(address, tls=False)
        closing.join()
    assert not answers(address, tls=False)


@pytest.mark.parametrize("tls", [False, True])
def test_a_server_on_a_socket_or_behind_tls_answers(
    tmp_path_factory: pytest.TempPathFactory, tls: bool
) -> None:
    folder = tmp_path_factory.mktemp("s")
    server = grpc.server(ThreadPoolExecutor(1))
    address = f"unix:{folder}/socket"
    if tls:
        issued = trustme.CA().issue_cert("localhost")
        chain = b"".join(each.bytes() for each in issued.cert_chain_pems)
        pair = [(issued.private_key_pem.bytes(), chain)]
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials(pair))
        address = f"127.0.0.1:{port}"
    else:
        server.add_insecure_port(address)
    server.start()
    assert answers(address, tls=tls)
    server.stop(0)
