"""TensorFlow Serving's flags for a server's options; what it cannot do is refused, never dropped.

The names are those of tensorflow_serving/model_servers/main.cc, which goes on past a flag that it
does not know: tests/serving/test_deployment.py holds every flag used against them. Nothing is
started here, and nothing is known of where the program runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import text_format

from tunesmith.serving.errors import ConfigInvalid, ExtraMissing, ServingError
from tunesmith.serving.options import ServerOptions

_CONFIG = Path(__file__).resolve().parent / "config"

BATCHING_PARAMETERS = _CONFIG / "batching.config"
"""How windows are computed together unless a file of the user's says otherwise."""

BATCHING_PARAMETERS_ON_A_GPU = _CONFIG / "batching-gpu.config"
"""The same for a container that gets a GPU."""

MONITORING = _CONFIG / "monitoring.config"
"""Prometheus metrics on the REST port."""

# What the stock program does not do, whichever flags it is given. A value that the user left alone
# asks for nothing. The limit of messages is the largest there is: server.cc sets it before the
# arguments of --grpc_channel_arguments, and of two gRPC's core keeps the first.
_NEVER = {
    "log_format": "writes log lines of its own kind",
    "drain_seconds": "ends at once when it is stopped and waits for no request",
    "socket_mode": "leaves the permissions of its socket to the umask",
    "max_receive_bytes": "takes messages of up to 2 GiB",
    "max_send_bytes": "sends messages of up to 2 GiB",
    "workers": "has a thread for each request that it takes (see --max-requests)",
}


class EngineLimit(ServingError):
    """The engine that was chosen cannot do what an option asks for."""


@dataclass(frozen=True)
class Place:
    """Where the program runs, as its flags see it.

    Attributes:
        port: TCP port of gRPC, 0 for none.
        metrics_port: TCP port of REST, with the metrics on it.
        base_path: the folder of the one model's versions; None where a file lists the models.
        batching: how windows are computed together there, unless the options name a file.
        path: the path there of a file of this machine.
        socket: the path there of the unix socket to be.
    """

    port: int
    metrics_port: int
    base_path: str | None
    batching: Path
    path: Callable[[Path], str]
    socket: Callable[[Path], str]


def serving_flags(options: ServerOptions, place: Place) -> list[str]:
    """Return the flags of ``tensorflow_model_server``, without its own name.

    Seconds are whole ones there: a fraction is rounded up.

    Args:
        options: what the server is to do.
        place: where the program will run.

    Raises:
        EngineLimit: the program cannot do what an option asks for.
    """
    refuse_what_is_missing(options)
    return [
        f"--port={place.port}",
        *([f"--grpc_socket_path={place.socket(options.socket)}"] if options.socket else []),
        *_models(options, place),
        f"--file_system_poll_wait_seconds={_whole(options.poll_seconds)}",
        *_batching(options, place),
        *(
            [f"--ssl_config_file={place.path(options.ssl_config_file)}"]
            if options.ssl_config_file
            else []
        ),
        *_metrics(options, place),
        f"--tensorflow_inter_op_parallelism={options.inter_op_threads}",
        f"--tensorflow_intra_op_parallelism={options.intra_op_threads}",
        # A thread more is refused as RESOURCE_EXHAUSTED, so that threads are requests.
        f"--grpc_max_threads={options.max_requests}",
        "--enable_model_warmup=true",
        "--enable_grpc_healthcheck_service=true",
        *(["--enable_serialization_as_tensor_content=true"] if options.tensor_content else []),
    ]


def refuse_what_is_missing(options: ServerOptions) -> None:
    """Check that TensorFlow Serving can do what `options` ask for.

    Raises:
        EngineLimit: it cannot; the message names the option and what to do.
    """
    untouched = ServerOptions()
    for name, reason in _NEVER.items():
        if getattr(options, name) != getattr(untouched, name):
            raise EngineLimit(
                f"TensorFlow Serving {reason}: leave out {_option(name)}, or use --engine embedded"
            )
    if options.reload_requests is False:
        raise EngineLimit(
            "TensorFlow Serving takes every reload request: leave out --no-reload-requests, or use "
            "--engine embedded"
        )
    for name in ("port", "metrics_port"):
        if getattr(options, name) == 0:
            raise EngineLimit(
                f"TensorFlow Serving does not look for a free port: name one with {_option(name)}, "
                "or use --engine embedded"
            )
    if options.port is not None and options.port == options.metrics_port:
        raise EngineLimit(
            f"--port and --metrics-port are both {options.port}: TensorFlow Serving needs two ports"
        )


def can_do(options: ServerOptions) -> bool:
    """Return whether TensorFlow Serving can do what `options` ask for."""
    try:
        refuse_what_is_missing(options)
    except EngineLimit:
        return False
    return True


def base_paths(config_file: Path) -> list[str]:
    """Return the base paths that a file of models lists, as they stand there.

    Raises:
        ConfigInvalid: the file cannot be read or parsed, or lists a relative path, which TensorFlow
            Serving does not take (model_servers/server_core.cc).
        ExtraMissing: TensorFlow Serving's messages are not installed.
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
            f"{config_file} is no ModelServerConfig in protobuf's text format: {reason}"
        ) from error
    found = [model.base_path for model in config.model_config_list.config]
    for path in found:
        if not path.startswith("/") and "://" not in path:
            raise ConfigInvalid(
                f"{config_file}: TensorFlow Serving takes absolute base paths alone, not {path!r}"
            )
    return found


def _models(options: ServerOptions, place: Place) -> list[str]:
    if options.model_config_file is None:
        return [f"--model_name={options.model_name}", f"--model_base_path={place.base_path}"]
    seconds = options.model_config_poll_seconds
    return [
        f"--model_config_file={place.path(options.model_config_file)}",
        *([f"--model_config_file_poll_wait_seconds={_whole(seconds)}"] if seconds > 0 else []),
        # Labels are looked at before the models are loaded (server_core.cc, ReloadConfig): a file
        # with labels would not start. One that is in use still moves to a loaded version only.
        "--allow_version_labels_for_unavailable_models=true",
    ]


def _batching(options: ServerOptions, place: Place) -> list[str]:
    if not options.batching:
        return ["--enable_batching=false"]
    file = options.batching_parameters_file or place.batching
    return ["--enable_batching=true", f"--batching_parameters_file={place.path(file)}"]


def _metrics(options: ServerOptions, place: Place) -> list[str]:
    if options.metrics_port is None:
        return []
    return [
        f"--rest_api_port={place.metrics_port}",
        f"--monitoring_config_file={place.path(MONITORING)}",
    ]


def _whole(seconds: float) -> int:
    """Return at least one whole second: 0 would mean "once", for either kind of look."""
    return max(1, math.ceil(seconds))


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
