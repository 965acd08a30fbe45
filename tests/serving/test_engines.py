"""The choice of an engine, and the command lines in full."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tunesmith.plugins import PluginError, set_plugin_path
from tunesmith.serving import (
    EngineLimit,
    EngineMissing,
    EngineOptions,
    EngineUnknown,
    InProcessEngine,
    ServerOptions,
    choose_engine,
    engine_names,
    load_engine,
)
from tunesmith.serving.errors import ConfigInvalid
from tunesmith.serving.flags import (
    BATCHING_PARAMETERS,
    BATCHING_PARAMETERS_ON_A_GPU,
    MONITORING,
)

PROGRAM, DOCKER = "tensorflow-serving", "docker"
BOTH = pytest.mark.parametrize("engine", [PROGRAM, DOCKER])


def command(engine: str, model_dir: Path | None, **options: Any) -> list[str]:
    """Return the command line of an engine."""
    if engine == DOCKER:
        options = {"image": "mine:1", "user": "1000:1000", **options}
    return load_engine(engine).command(model_dir, EngineOptions(**options))


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


def test_each_module_is_an_engine() -> None:
    assert engine_names() == ("docker", "embedded", "tensorflow-serving")
    for name in engine_names():
        engine = load_engine(name)
        assert isinstance(engine, InProcessEngine) == (name == "embedded")


def test_the_program_is_best_then_docker_with_the_image_then_embedded(path: Any) -> None:
    assert choose_engine(EngineOptions()) == "embedded"
    path("docker", exit_code=1)
    assert choose_engine(EngineOptions()) == "embedded"
    path("docker", exit_code=0)
    assert choose_engine(EngineOptions()) == "docker"
    path("tensorflow_model_server")
    for host in ("0.0.0.0", "::"):
        assert choose_engine(EngineOptions(host=host)) == "tensorflow-serving"


def test_auto_does_not_open_a_model_to_other_machines_unasked(path: Any) -> None:
    path("tensorflow_model_server")
    assert choose_engine(EngineOptions()) == "embedded"


def test_auto_takes_no_engine_that_cannot_do_what_is_asked_for(path: Any) -> None:
    path("docker")
    path("tensorflow_model_server")
    for engine, host in (("docker", "127.0.0.1"), ("tensorflow-serving", "0.0.0.0")):
        assert choose_engine(EngineOptions(host=host, metrics_port=8501)) == engine
        assert choose_engine(EngineOptions(host=host, log_format="json")) == "embedded"


def test_without_any_engine_auto_names_what_each_one_lacks(
    path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    del path
    embedded = type(load_engine("embedded"))
    monkeypatch.setattr(embedded, "unavailable", lambda *_: "TensorFlow is not installed")
    with pytest.raises(EngineMissing) as caught:
        choose_engine(EngineOptions())
    assert str(caught.value) == (
        "no engine is available: tensorflow-serving: it listens on every interface, not on "
        "127.0.0.1 alone; docker: Docker does not answer or has no image tunesmith-serving: build "
        "it from Dockerfile.serving or use --engine embedded; embedded: TensorFlow is not installed"
    )


def test_an_engine_says_what_is_missing_on_the_machine(path: Any) -> None:
    options = EngineOptions(image="mine:1")
    assert "tensorflow_model_server is not on PATH" in str(
        load_engine(PROGRAM).unavailable(options)
    )
    assert "no image mine:1" in str(load_engine(DOCKER).unavailable(options))
    path("docker")
    path("tensorflow_model_server")
    for name in engine_names():
        assert load_engine(name).unavailable(options) is None


PLUGIN = """
from tunesmith.serving import Engine, load_engine

class Quiet(Engine):
    def unavailable(self, options):
        return None
    def command(self, model_dir, options):
        return ["nice", "-n", "5", *load_engine("tensorflow-serving").command(model_dir, options)]

class Half(Engine):
    def unavailable(self, options):
        return None

QUIET = Quiet()
NUMBER = 7
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The plug-in path has a module ``quiet_engine``."""
    (tmp_path / "quiet_engine.py").write_text(PLUGIN)
    monkeypatch.setenv("TUNESMITH_PLUGIN_PATH", "")
    set_plugin_path([tmp_path])
    yield
    set_plugin_path([])
    sys.modules.pop("quiet_engine", None)


@pytest.mark.usefixtures("plugin")
def test_a_plug_in_is_an_engine_by_its_object_or_class(tmp_path: Path) -> None:
    for name in ("quiet_engine:QUIET", "quiet_engine:Quiet"):
        assert command(name, tmp_path)[:4] == ["nice", "-n", "5", "tensorflow_model_server"]
    # It is not among those that auto chooses from.
    assert choose_engine(EngineOptions()) in engine_names()


@pytest.mark.usefixtures("plugin")
def test_an_installed_package_offers_an_engine_by_name(tmp_path: Path) -> None:
    metadata = tmp_path / "quiet_engine-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: quiet-engine\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[tunesmith.engines]\nquiet = quiet_engine:Quiet\n")
    assert command("quiet", tmp_path)[0] == "nice"
    with pytest.raises(EngineUnknown, match="tensorflow-serving, quiet, or module:object, not"):
        load_engine("loud")


@pytest.mark.usefixtures("plugin")
def test_what_is_not_an_engine_is_refused_in_one_line() -> None:
    for name, words in (
        ("quiet_engine:NUMBER", "quiet_engine:NUMBER is not an engine: derive its class from"),
        ("torch", "one of auto, docker, embedded, tensorflow-serving, or module:object, not 'to"),
        ("", "or module:object, not ''"),
        ("engine", "not 'engine'"),
    ):
        with pytest.raises(EngineUnknown) as caught:
            load_engine(name)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
    for name in ("quiet_engine:GONE", "quieter_engine:QUIET"):
        with pytest.raises(PluginError):
            load_engine(name)


def test_the_command_line_of_the_program(tmp_path: Path) -> None:
    assert command(PROGRAM, tmp_path, port=8600) == [
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
    found = command(
        PROGRAM,
        None,
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
    assert found == [
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
    assert command(DOCKER, tmp_path, port=8600, model_name="bach", batching=False) == [
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
    found = command(
        DOCKER,
        None,
        socket=Path("/run/own/tunesmith.sock"),
        model_config_file=models,
        model_config_poll_seconds=5,
        ssl_config_file=Path("/etc/ssl.config"),
        metrics_port=8601,
    )
    assert [word for word in found if word.startswith("--mount=")] == [
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
        assert word in found
    assert not any(word.startswith(("--model_name", "--model_base_path")) for word in found)


def test_a_container_without_a_gpu_on_an_ipv6_host(tmp_path: Path) -> None:
    options = EngineOptions(host="::1", gpu=False)
    found = load_engine(DOCKER).command(tmp_path, options)
    assert "--gpus=all" not in found
    assert any(f"source={BATCHING_PARAMETERS}," in word for word in found)
    assert "--publish=[::1]:8500:8500" in found
    # A key that only this user may read can be read inside.
    assert f"--user={os.getuid()}:{os.getgid()}" in found


@pytest.mark.parametrize(
    "asked",
    [
        {"log_format": "json"},
        {"log_level": "debug"},
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
@BOTH
def test_what_tensorflow_serving_cannot_do_is_refused(
    asked: dict[str, Any], engine: str, tmp_path: Path
) -> None:
    option = "--" + next(iter(asked)).replace("_", "-")
    with pytest.raises(EngineLimit, match=option) as caught:
        command(engine, tmp_path, **asked)
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
    "log_level": ("warning", {}),
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
    ("name", "engine"),
    [
        (field.name, engine)
        for field in dataclasses.fields(ServerOptions)
        for engine in (PROGRAM, DOCKER)
        # The program listens on every interface, and `serve` says so.
        if (field.name, engine) != ("host", PROGRAM)
    ],
)
def test_no_option_is_dropped_in_silence(
    name: str, engine: str, models: Path, tmp_path: Path
) -> None:
    value, others = OTHER[name]
    others = {key: models if each is ... else each for key, each in others.items()}
    without = command(engine, tmp_path, **others)
    try:
        changed: Any = command(
            engine, tmp_path, **others, **{name: models if value is ... else value}
        )
    except EngineLimit as limit:
        changed = str(limit)
    assert changed != without
    assert isinstance(changed, list) or name.replace("_", "-") in changed


def test_a_relative_base_path_is_refused_before_tensorflow_serving_does(tmp_path: Path) -> None:
    file = tmp_path / "models.config"
    file.write_text('model_config_list { config { name: "a" base_path: "models/a" } }')
    for engine in (PROGRAM, DOCKER):
        with pytest.raises(ConfigInvalid, match="needs absolute base paths, not 'models/a'"):
            command(engine, None, model_config_file=file)
    file.write_text("model_config_list { config { nam: 1 } }")
    with pytest.raises(ConfigInvalid, match="is not a ModelServerConfig"):
        command(PROGRAM, None, model_config_file=file)
    file.unlink()
    with pytest.raises(ConfigInvalid, match="cannot read"):
        command(PROGRAM, None, model_config_file=file)


def test_a_socket_alone_leaves_no_port_open(tmp_path: Path) -> None:
    for engine in (PROGRAM, DOCKER):
        found = command(engine, tmp_path, port=None, socket=tmp_path / "s")
        assert "--port=0" in found
        assert not any(word.startswith("--publish") for word in found)


def test_a_path_that_docker_would_read_as_options_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineLimit, match="comma"):
        command(DOCKER, tmp_path / "a,target=/etc")


def test_dockers_own_command_line_takes_the_words(models: Path, tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if docker is None:
        pytest.skip("Docker's command line is not installed")
    nowhere = {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/nobody.sock"}

    def answer(words: list[str]) -> str:
        ran = subprocess.run(words, env=nowhere, capture_output=True, text=True, check=False)
        assert ran.returncode != 0
        return ran.stderr

    found = command(
        DOCKER, None, model_config_file=models, socket=tmp_path / "s", metrics_port=8501
    )
    # Words are looked at before the engine is, so that only the engine is missed.
    assert "nobody.sock" in answer(found)
    assert "unknown flag" in answer([*found[:2], "--gpu", *found[2:]])
