"""Which engine is taken, and the command lines, word by word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tunesmith.serving import (
    DockerImage,
    EngineMissing,
    ServerOptions,
    choose_engine,
    docker_command,
    program_command,
)

FLAGS = [
    "--file_system_poll_wait_seconds=1",
    "--tensorflow_inter_op_parallelism=2",
    "--tensorflow_intra_op_parallelism=1",
    "--enable_model_warmup=true",
    "--enable_grpc_healthcheck_service=true",
]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``path(name, exit_code)`` puts a program onto an otherwise empty PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def put(name: str, exit_code: int = 0) -> None:
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\nexit {exit_code}\n")
        program.chmod(0o755)

    return put


def test_the_program_is_best_then_docker_with_the_image_then_embedded(path: Any) -> None:
    assert choose_engine("auto") == "embedded"
    path("docker", exit_code=1)
    assert choose_engine("auto") == "embedded"
    path("docker", exit_code=0)
    assert choose_engine("auto") == "docker"
    path("tensorflow_model_server")
    assert choose_engine("auto", every_interface=True) == "tensorflow-serving"


def test_auto_does_not_open_a_model_to_other_machines_unasked(path: Any) -> None:
    path("tensorflow_model_server")
    assert choose_engine("auto") == "embedded"


def test_an_engine_asked_for_by_name_is_taken_or_missed(path: Any) -> None:
    assert choose_engine("embedded") == "embedded"
    with pytest.raises(EngineMissing, match="tensorflow_model_server is not on PATH"):
        choose_engine("tensorflow-serving")
    with pytest.raises(EngineMissing, match="no image mine:1"):
        choose_engine("docker", DockerImage("mine:1"))
    path("docker")
    path("tensorflow_model_server")
    assert choose_engine("docker") == "docker"
    assert choose_engine("tensorflow-serving") == "tensorflow-serving"


def test_the_command_line_of_the_program(tmp_path: Path) -> None:
    assert program_command(tmp_path, ServerOptions(port=8600)) == [
        "tensorflow_model_server",
        "--port=8600",
        "--model_name=tunesmith",
        f"--model_base_path={tmp_path}",
        *FLAGS,
    ]


def test_the_command_line_of_docker(tmp_path: Path) -> None:
    options = ServerOptions(port=8600, model_name="bach", tensor_content=True)
    assert docker_command(tmp_path, options, DockerImage("mine:1")) == [
        "docker",
        "run",
        "--rm",
        "--init",
        "--read-only",
        "--publish=127.0.0.1:8600:8500",
        f"--mount=type=bind,source={tmp_path},target=/models/bach,readonly",
        "--gpus=all",
        "--entrypoint=tensorflow_model_server",
        "mine:1",
        "--port=8500",
        "--model_name=bach",
        "--model_base_path=/models/bach",
        *FLAGS,
        "--enable_serialization_as_tensor_content=true",
    ]


def test_a_container_without_a_gpu_on_an_ipv6_host(tmp_path: Path) -> None:
    command = docker_command(tmp_path, ServerOptions(host="::1"), DockerImage(gpu=False))
    assert "--gpus=all" not in command
    assert "--publish=[::1]:8500:8500" in command
