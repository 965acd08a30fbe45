"""TensorFlow Serving's flags for the options of a server.

The names are those of tensorflow_serving/model_servers/main.cc, which ignores an unknown flag:
tests/serving/test_deployment.py compares every flag used with that list. An option that the program
does not support is refused. Nothing here depends on where the program runs, on this machine or in a
container.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import text_format

from tunesmith.serving.engines.engine import EngineLimit
from tunesmith.serving.errors import ConfigInvalid, ExtraMissing
from tunesmith.serving.options import ServerOptions

PROGRAM = "tensorflow_model_server"
"""The program's name, on this machine and in its container images."""

_CONFIG = Path(__file__).resolve().parent / "config"

BATCHING_PARAMETERS = _CONFIG / "batching.config"
"""Batching parameters, unless the options name a file."""

BATCHING_PARAMETERS_ON_A_GPU = _CONFIG / "batching-gpu.config"
"""Batching parameters of a container with a GPU, unless the options name a file."""

MONITORING = _CONFIG / "monitoring.config"
"""Configuration that serves Prometheus metrics on the REST port."""

# Options that the program does not support, with the reason; they must keep their defaults. The
# limits of messages are the largest possible ones: server.cc sets them before the arguments of
# --grpc_channel_arguments, and gRPC's core takes the first of two equal arguments.
_UNSUPPORTED = {
    "log_format": "has its own log format",
    "log_level": "has its own log levels",
    "drain_seconds": "stops at once and does not wait for running requests",
    "socket_mode": "leaves the permissions of its socket to the umask",
    "max_receive_bytes": "accepts messages of up to 2 GiB",
    "max_send_bytes": "sends messages of up to 2 GiB",
    "workers": "has a thread for each request (see --max-requests)",
}


@dataclass(frozen=True)
class ProgramEnvironment:
    """Ports and paths as the program sees them where it runs.

    Attributes:
        port: TCP port for gRPC, 0 for none.
        metrics_port: TCP port for REST, which also serves the metrics.
        base_path: folder of the versions of a single model; None if a file lists the models.
        batching: file of batching parameters on this machine, unless the options name one.
        path: returns the path there of a file on this machine.
        socket: returns the path there of the unix socket that the program creates.
    """

    port: int
    metrics_port: int
    base_path: str | None
    batching: Path
    path: Callable[[Path], str]
    socket: Callable[[Path], str]


def tensorflow_serving_flags(options: ServerOptions, environment: ProgramEnvironment) -> list[str]:
    """Return the flags of ``tensorflow_model_server``, without the program's name.

    The program takes whole seconds: a fraction is rounded up.

    Args:
        options: how the server is to be set up.
        environment: where the program will run.

    Raises:
        EngineLimit: the program does not support an option.
    """
    problem = limit(options)
    if problem is not None:
        raise EngineLimit(problem)
    return [
        f"--port={environment.port}",
        *([f"--grpc_socket_path={environment.socket(options.socket)}"] if options.socket else []),
        *_models(options, environment),
        f"--file_system_poll_wait_seconds={_whole(options.poll_seconds)}",
        *_batching(options, environment),
        *(
            [f"--ssl_config_file={environment.path(options.ssl_config_file)}"]
            if options.ssl_config_file
            else []
        ),
        *_metrics(options, environment),
        f"--tensorflow_inter_op_parallelism={options.inter_op_threads}",
        f"--tensorflow_intra_op_parallelism={options.intra_op_threads}",
        # The program has a thread for each request and answers RESOURCE_EXHAUSTED beyond.
        f"--grpc_max_threads={options.max_requests}",
        "--enable_model_warmup=true",
        "--enable_grpc_healthcheck_service=true",
        *(["--enable_serialization_as_tensor_content=true"] if options.tensor_content else []),
    ]


def limit(options: ServerOptions) -> str | None:
    """Return which option TensorFlow Serving does not support, and what to do; None if all are."""
    defaults = ServerOptions()
    for name, reason in _UNSUPPORTED.items():
        if getattr(options, name) != getattr(defaults, name):
            return (
                f"TensorFlow Serving {reason}: leave out {_option(name)}, or use --engine embedded"
            )
    if options.reload_requests is False:
        return (
            "TensorFlow Serving accepts every reload request: leave out --no-reload-requests, or "
            "use --engine embedded"
        )
    for name in ("port", "metrics_port"):
        if getattr(options, name) == 0:
            return (
                f"TensorFlow Serving does not choose a free port: set {_option(name)}, or use "
                "--engine embedded"
            )
    if options.port is not None and options.port == options.metrics_port:
        return (
            f"--port and --metrics-port are both {options.port}: TensorFlow Serving needs two ports"
        )
    return None


def single_model(model_dir: Path | None, options: ServerOptions) -> str | None:
    """Return the absolute base path of the only model; None if a file lists the models.

    Raises:
        EngineLimit: there is neither.
    """
    if options.model_config_file is not None:
        return None
    if model_dir is None:
        raise EngineLimit("no model to serve: give --model-dir or --model-config-file")
    return absolute(model_dir)


def absolute(path: Path) -> str:
    """Return an absolute path; links stay as they are."""
    return str(path.absolute())


def base_paths(config_file: Path) -> list[str]:
    """Return the base paths in a model configuration file, as they are written there.

    Raises:
        ConfigInvalid: the file cannot be read or parsed, or has a relative path, which TensorFlow
            Serving refuses (model_servers/server_core.cc).
        ExtraMissing: tensorflow-serving-api is not installed.
    """
    try:
        from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig
    except ImportError as error:
        raise ExtraMissing(
            "reading a model configuration needs tensorflow-serving-api: "
            "pip install 'tunesmith[serving]'"
        ) from error
    try:
        text = config_file.read_text(encoding="utf-8")
        config = text_format.Parse(text, ModelServerConfig())
    except OSError as error:
        raise ConfigInvalid(
            f"cannot read the model configuration {config_file}: {error.strerror}"
        ) from error
    except (UnicodeDecodeError, text_format.ParseError) as error:
        reason = " ".join(str(error).split())
        raise ConfigInvalid(
            f"{config_file} is not a ModelServerConfig in protobuf's text format: {reason}"
        ) from error
    found = [model.base_path for model in config.model_config_list.config]
    for path in found:
        if not path.startswith("/") and "://" not in path:
            raise ConfigInvalid(
                f"{config_file}: TensorFlow Serving needs absolute base paths, not {path!r}"
            )
    return found


def _models(options: ServerOptions, environment: ProgramEnvironment) -> list[str]:
    if options.model_config_file is None:
        return [f"--model_name={options.model_name}", f"--model_base_path={environment.base_path}"]
    seconds = options.model_config_poll_seconds
    return [
        f"--model_config_file={environment.path(options.model_config_file)}",
        *([f"--model_config_file_poll_wait_seconds={_whole(seconds)}"] if seconds > 0 else []),
        # Labels are checked before the models are loaded (server_core.cc, ReloadConfig): without
        # this flag the program would not start with labels. A label in use still moves only to a
        # loaded version.
        "--allow_version_labels_for_unavailable_models=true",
    ]


def _batching(options: ServerOptions, environment: ProgramEnvironment) -> list[str]:
    if not options.batching:
        return ["--enable_batching=false"]
    file = options.batching_parameters_file or environment.batching
    return ["--enable_batching=true", f"--batching_parameters_file={environment.path(file)}"]


def _metrics(options: ServerOptions, environment: ProgramEnvironment) -> list[str]:
    if options.metrics_port is None:
        return []
    return [
        f"--rest_api_port={environment.metrics_port}",
        f"--monitoring_config_file={environment.path(MONITORING)}",
    ]


def _whole(seconds: float) -> int:
    """Return whole seconds, at least 1: for both kinds of polling 0 would mean once."""
    return max(1, math.ceil(seconds))


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
