"""TensorFlow Serving in a container that Docker runs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tunesmith.serving.engines.engine import Engine, EngineLimit, EngineOptions
from tunesmith.serving.flags import (
    BATCHING_PARAMETERS,
    BATCHING_PARAMETERS_ON_A_GPU,
    PROGRAM,
    ProgramEnvironment,
    absolute,
    base_paths,
    limit,
    single_model,
    tensorflow_serving_flags,
)

_PROBE_SECONDS = 5.0

# Ports and folders inside the container.
_PORT = 8500
_METRICS_PORT = 8501
_MODEL = "/models/model"
_SETTINGS = "/etc/tunesmith/host"
_SOCKETS = "/run/tunesmith"


class DockerEngine(Engine):
    """``docker run`` of an image with ``tensorflow_model_server``, such as Dockerfile.serving's."""

    preference = 20
    keeps_host = True

    def unavailable(self, options: EngineOptions) -> str | None:
        """Return what an option asks in vain, or that Docker or the image is missing; else None."""
        reason = limit(options)
        if reason is None and not _has_image(options.image):
            return (
                f"Docker does not answer or has no image {options.image}: build it from "
                "Dockerfile.serving or use --engine embedded"
            )
        return reason

    def command(self, model_dir: Path | None, options: EngineOptions) -> list[str]:
        """Return the command line that serves models from a container.

        Ports are published on ``options.host`` alone. The container's file system is read-only,
        files of this machine are mounted read-only, and the container has no capabilities; only the
        folder of a unix socket is mounted writable. Docker's command line accepts these arguments
        (tests/serving/test_engines.py); no Docker engine has run them so far.

        Raises:
            EngineLimit: TensorFlow Serving does not support an option, or Docker cannot mount a
                path.
            ConfigInvalid: the model configuration file is wrong.
        """
        mounts = _Mounts()
        base_path = single_model(model_dir, options)
        if base_path is not None:
            mounts.add(base_path, _MODEL)
        elif options.model_config_file is not None:
            # At the same paths, so that the file is valid in the container.
            for path in dict.fromkeys(base_paths(options.model_config_file)):
                if "://" not in path:
                    mounts.add(path, path)
        # A file that is polled is mounted with its folder: an editor that replaces the file would
        # leave a mount of the file itself at the old content.
        polled = options.model_config_file if options.model_config_poll_seconds > 0 else None
        environment = ProgramEnvironment(
            port=0 if options.port is None else _PORT,
            metrics_port=_METRICS_PORT,
            base_path=_MODEL if base_path is not None else None,
            batching=BATCHING_PARAMETERS_ON_A_GPU if options.gpu else BATCHING_PARAMETERS,
            path=lambda path: mounts.file(path, with_folder=path == polled),
            socket=mounts.socket,
        )
        flags = tensorflow_serving_flags(options, environment)
        return [
            "docker",
            "run",
            "--rm",
            # TensorFlow Serving handles no signal, and the kernel withholds SIGTERM and SIGINT from
            # a container's first process if it does not handle them.
            "--init",
            "--read-only",
            "--tmpfs=/tmp",
            "--cap-drop=ALL",
            "--security-opt=no-new-privileges",
            *([f"--user={options.user}"] if options.user else []),
            *_published_ports(options),
            *mounts.arguments,
            *(["--gpus=all"] if options.gpu else []),
            # Named here, so that any image with the program works.
            f"--entrypoint={PROGRAM}",
            options.image,
            *flags,
        ]


class _Mounts:
    """The files and folders of this machine that the container sees."""

    def __init__(self) -> None:
        self.arguments: list[str] = []

    def add(self, source: str, target: str, *, readonly: bool = True) -> None:
        if "," in source:
            raise EngineLimit(f"Docker cannot mount {source}: rename it so that it has no comma")
        argument = f"--mount=type=bind,source={source},target={target}"
        self.arguments.append(argument + ",readonly" if readonly else argument)

    def file(self, path: Path, *, with_folder: bool) -> str:
        """Mount a file, or the folder that holds it, and return the file's path inside."""
        inside = f"{_SETTINGS}/{len(self.arguments)}"
        self.add(absolute(path.parent if with_folder else path), inside)
        return f"{inside}/{path.name}" if with_folder else inside

    def socket(self, path: Path) -> str:
        """Mount the folder where the server creates a socket, and return its path inside."""
        self.add(absolute(path.parent), _SOCKETS, readonly=False)
        return f"{_SOCKETS}/{path.name}"


def _has_image(name: str) -> bool:
    """Return whether a Docker engine answers and has the image."""
    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        probe = subprocess.run(
            [docker, "image", "inspect", name],
            capture_output=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return probe.returncode == 0


def _published_ports(options: EngineOptions) -> list[str]:
    host = f"[{options.host}]" if ":" in options.host else options.host
    ports = ((options.port, _PORT), (options.metrics_port, _METRICS_PORT))
    return [
        f"--publish={host}:{outside}:{inside}" for outside, inside in ports if outside is not None
    ]


ENGINE = DockerEngine()
