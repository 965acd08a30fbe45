"""Which engine is taken, and the command lines, word by word."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
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
from tunesmith.serving.engines import EngineLimit
from tunesmith.serving.errors import ConfigInvalid
from tunesmith.serving.flags import (
    BATCHING_PARAMETERS,
    BATCHING_PARAMETERS_ON_A_GPU,
    MONITORING,
)

IMAGE = DockerImage("mine:1", user="1000:1000")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``path(name, exit_code)`` puts a program onto an otherwise empty PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def put(name: str, exit_code: int = 0) -> None:
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\nexit {exit_code}\n")
        program.chmod(0o755)

    return put


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A file of two models, in TensorFlow Serving's text format."""
    file = tmp_path / "models.config"
    file.write_text(
        "model_config_list {\n"
        '  config { name: "bach" base_path: "/srv/bach" model_platform: "tensorflow" }\n'
        '  config { name: "lin" base_path: "/srv/lin" model_platform: "tensorflow" }\n'
        "}\n"
    )
    return file


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


def test_auto_takes_no_engine_that_cannot_do_what_is_asked_for(path: Any) -> None:
    path("docker")
    path("tensorflow_model_server")
    for engine, everywhere in (("docker", False), ("tensorflow-serving", True)):
        able, unable = ServerOptions(metrics_port=8501), ServerOptions(log_format="json")
        assert choose_engine("auto", every_interface=everywhere, options=able) == engine
        assert choose_engine("auto", every_interface=everywhere, options=unable) == "embedded"


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
        "--file_system_poll_wait_seconds=1",
        "--enable_batching=true",
        f"--batching_parameters_file={BATCHING_PARAMETERS}",
        "--tensorflow_inter_op_parallelism=2",
        "--tensorflow_intra_op_parallelism=1",
        "--grpc_max_threads=256",
        "--enable_model_warmup=true",
        "--enable_grpc_healthcheck_service=true",
    ]


def test_the_command_line_of_the_program_with_everything_asked_for(models: Path) -> None:
    options = ServerOptions(
        socket=Path("/run/tunesmith.sock"),
        model_config_file=models,
        model_config_poll_seconds=0.5,
        batching_parameters_file=Path("/etc/batching"),
        ssl_config_file=Path("/etc/ssl.config"),
        metrics_port=8601,
        inter_op_threads=0,
        intra_op_threads=4,
        poll_seconds=2.5,
        max_requests=16,
        tensor_content=True,
    )
    assert program_command(None, options) == [
        "tensorflow_model_server",
        "--port=8500",
        "--grpc_socket_path=/run/tunesmith.sock",
        f"--model_config_file={models}",
        "--model_config_file_poll_wait_seconds=1",
        "--allow_version_labels_for_unavailable_models=true",
        "--file_system_poll_wait_seconds=3",
        "--enable_batching=true",
        "--batching_parameters_file=/etc/batching",
        "--ssl_config_file=/etc/ssl.config",
        "--rest_api_port=8601",
        f"--monitoring_config_file={MONITORING}",
        "--tensorflow_inter_op_parallelism=0",
        "--tensorflow_intra_op_parallelism=4",
        "--grpc_max_threads=16",
        "--enable_model_warmup=true",
        "--enable_grpc_healthcheck_service=true",
        "--enable_serialization_as_tensor_content=true",
    ]


def test_the_command_line_of_docker(tmp_path: Path) -> None:
    options = ServerOptions(port=8600, model_name="bach", batching=False)
    assert docker_command(tmp_path, options, IMAGE) == [
        "docker",
        "run",
        "--rm",
        "--init",
        "--read-only",
        "--tmpfs=/tmp",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--user=1000:1000",
        "--publish=127.0.0.1:8600:8500",
        f"--mount=type=bind,source={tmp_path},target=/models/model,readonly",
        "--gpus=all",
        "--entrypoint=tensorflow_model_server",
        "mine:1",
        "--port=8500",
        "--model_name=bach",
        "--model_base_path=/models/model",
        "--file_system_poll_wait_seconds=1",
        "--enable_batching=false",
        "--tensorflow_inter_op_parallelism=2",
        "--tensorflow_intra_op_parallelism=1",
        "--grpc_max_threads=256",
        "--enable_model_warmup=true",
        "--enable_grpc_healthcheck_service=true",
    ]


def test_docker_sees_each_file_that_its_flags_name(models: Path) -> None:
    options = ServerOptions(
        socket=Path("/run/own/tunesmith.sock"),
        model_config_file=models,
        model_config_poll_seconds=5,
        ssl_config_file=Path("/etc/ssl.config"),
        metrics_port=8601,
    )
    command = docker_command(None, options, IMAGE)
    assert [word for word in command if word.startswith("--mount=")] == [
        "--mount=type=bind,source=/srv/bach,target=/srv/bach,readonly",
        "--mount=type=bind,source=/srv/lin,target=/srv/lin,readonly",
        "--mount=type=bind,source=/run/own,target=/run/tunesmith",
        # With its folder, for it is read again.
        f"--mount=type=bind,source={models.parent},target=/etc/tunesmith/host/3,readonly",
        f"--mount=type=bind,source={BATCHING_PARAMETERS_ON_A_GPU},"
        "target=/etc/tunesmith/host/4,readonly",
        "--mount=type=bind,source=/etc/ssl.config,target=/etc/tunesmith/host/5,readonly",
        f"--mount=type=bind,source={MONITORING},target=/etc/tunesmith/host/6,readonly",
    ]
    for word in (
        "--publish=127.0.0.1:8601:8501",
        "--grpc_socket_path=/run/tunesmith/tunesmith.sock",
        "--model_config_file=/etc/tunesmith/host/3/models.config",
        "--batching_parameters_file=/etc/tunesmith/host/4",
        "--ssl_config_file=/etc/tunesmith/host/5",
        "--rest_api_port=8501",
        "--monitoring_config_file=/etc/tunesmith/host/6",
    ):
        assert word in command
    assert not any(word.startswith(("--model_name", "--model_base_path")) for word in command)


def test_a_container_without_a_gpu_on_an_ipv6_host(tmp_path: Path) -> None:
    command = docker_command(tmp_path, ServerOptions(host="::1"), DockerImage(gpu=False))
    assert "--gpus=all" not in command
    assert any(f"source={BATCHING_PARAMETERS}," in word for word in command)
    assert "--publish=[::1]:8500:8500" in command
    # A key that only this user may read can be read inside.
    assert f"--user={os.getuid()}:{os.getgid()}" in command


@pytest.mark.parametrize(
    "asked",
    [
        {"log_format": "json"},
        {"drain_seconds": 5.0},
        {"socket_mode": 0o660},
        {"workers": 777},
        {"max_receive_bytes": 1000},
        {"max_send_bytes": 1000},
        {"port": 0},
        {"metrics_port": 0},
        {"metrics_port": 8500},
    ],
)
@pytest.mark.parametrize("build", [program_command, docker_command])
def test_what_tensorflow_serving_cannot_do_is_refused(
    asked: dict[str, Any], build: Any, tmp_path: Path
) -> None:
    option = "--" + next(iter(asked)).replace("_", "-")
    with pytest.raises(EngineLimit, match=option) as caught:
        build(tmp_path, ServerOptions(**asked))
    assert "\n" not in str(caught.value)


# Another value of every option, and what else it takes to have an effect.
OTHER: dict[str, tuple[Any, dict[str, Any]]] = {
    "model_name": ("bach", {}),
    "host": ("0.0.0.0", {}),
    "reload_requests": (False, {}),
    "port": (8600, {}),
    "socket": (Path("/run/own/tunesmith.sock"), {}),
    "socket_mode": (0o660, {"socket": Path("/run/own/tunesmith.sock")}),
    "model_config_file": (..., {}),
    "model_config_poll_seconds": (3.0, {"model_config_file": ...}),
    "batching_parameters_file": (Path("/etc/batching"), {}),
    "batching": (False, {}),
    "ssl_config_file": (Path("/etc/ssl.config"), {}),
    "metrics_port": (8601, {}),
    "log_format": ("json", {}),
    "inter_op_threads": (7, {}),
    "intra_op_threads": (7, {}),
    "poll_seconds": (7.0, {}),
    "drain_seconds": (7.0, {}),
    "max_receive_bytes": (7, {}),
    "max_send_bytes": (7, {}),
    "workers": (777, {}),
    "max_requests": (777, {}),
    "tensor_content": (True, {}),
}


@pytest.mark.parametrize(
    ("name", "build"),
    [
        (field.name, build)
        for field in dataclasses.fields(ServerOptions)
        for build in (program_command, docker_command)
        # The program listens on every interface, and `serve` says so.
        if (field.name, build) != ("host", program_command)
    ],
)
def test_no_option_is_dropped_in_silence(
    name: str, build: Any, models: Path, tmp_path: Path
) -> None:
    value, others = OTHER[name]
    others = {key: models if each is ... else each for key, each in others.items()}
    without = build(tmp_path, ServerOptions(**others))
    options = ServerOptions(**others, **{name: models if value is ... else value})
    try:
        changed = build(tmp_path, options)
    except EngineLimit as limit:
        changed = str(limit)
    assert changed != without
    assert isinstance(changed, list) or name.replace("_", "-") in changed


def test_a_relative_base_path_is_refused_before_tensorflow_serving_does(tmp_path: Path) -> None:
    file = tmp_path / "models.config"
    file.write_text('model_config_list { config { name: "a" base_path: "models/a" } }')
    for build in (program_command, docker_command):
        with pytest.raises(ConfigInvalid, match="absolute base paths alone, not 'models/a'"):
            build(None, ServerOptions(model_config_file=file))
    file.write_text("model_config_list { config { nam: 1 } }")
    with pytest.raises(ConfigInvalid, match="is no ModelServerConfig"):
        program_command(None, ServerOptions(model_config_file=file))
    file.unlink()
    with pytest.raises(ConfigInvalid, match="cannot read"):
        program_command(None, ServerOptions(model_config_file=file))


def test_a_socket_alone_leaves_no_port_open(tmp_path: Path) -> None:
    options = ServerOptions(port=None, socket=tmp_path / "s")
    for build in (program_command, docker_command):
        command = build(tmp_path, options)
        assert "--port=0" in command
        assert not any(word.startswith("--publish") for word in command)


def test_a_path_that_docker_would_read_as_options_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineLimit, match="comma"):
        docker_command(tmp_path / "a,target=/etc", ServerOptions())


def test_dockers_own_command_line_takes_the_words(models: Path, tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if docker is None:
        pytest.skip("Docker's command line is not installed")
    nowhere = {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/nobody.sock"}

    def answer(command: list[str]) -> str:
        ran = subprocess.run(command, env=nowhere, capture_output=True, text=True, check=False)
        assert ran.returncode != 0
        return ran.stderr

    options = ServerOptions(model_config_file=models, socket=tmp_path / "s", metrics_port=8501)
    command = docker_command(None, options, IMAGE)
    # Words are looked at before the engine is, so that only the engine is missed.
    assert "nobody.sock" in answer(command)
    assert "unknown flag" in answer([*command[:2], "--gpu", *command[2:]])
