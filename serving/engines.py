"""Which engine hosts a model, and the command line that starts it.

Three engines speak the same protocol: the ``tensorflow_model_server`` program, the same program in
a container image, and the embedded server. Flags are those of TensorFlow Serving's
model_servers/main.cc; command lines are pure functions of their parameters.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tunesmith.serving.errors import EngineMissing
from tunesmith.serving.options import ServerOptions

Engine = Literal["tensorflow-serving", "docker", "embedded"]
EngineChoice = Literal["auto", "tensorflow-serving", "docker", "embedded"]

PROGRAM = "tensorflow_model_server"
DEFAULT_IMAGE = "tunesmith-serving"
_CONTAINER_PORT = 8500
_PROBE_SECONDS = 5.0


@dataclass(frozen=True)
class DockerImage:
    """The container image with TensorFlow Serving in it.

    Attributes:
        name: image name, with a tag if wanted.
        gpu: hand every GPU of the machine to the container.
    """

    name: str = DEFAULT_IMAGE
    gpu: bool = True


def choose_engine(
    choice: EngineChoice, image: DockerImage | None = None, *, every_interface: bool = False
) -> Engine:
    """Return the engine to use: the one named, or for ``auto`` the best one present.

    ``auto`` takes the program if it is on PATH, Docker if its engine answers and has the image, and
    the embedded server otherwise. The program always listens on every interface, so ``auto`` takes
    it only where that is what was asked for.

    Args:
        choice: an engine, or ``auto``.
        image: the container image that Docker must have.
        every_interface: whether the server may be reached from other machines.

    Raises:
        EngineMissing: the engine named is not on this machine.
    """
    image = image or DockerImage()
    match choice:
        case "embedded":
            return "embedded"
        case "tensorflow-serving":
            if not has_program():
                raise EngineMissing(
                    f"{PROGRAM} is not on PATH: install TensorFlow Serving or use --engine embedded"
                )
            return "tensorflow-serving"
        case "docker":
            if not has_image(image.name):
                raise EngineMissing(
                    f"Docker does not answer or has no image {image.name}: build it from "
                    "Dockerfile.serving or use --engine embedded"
                )
            return "docker"
    if every_interface and has_program():
        return "tensorflow-serving"
    return "docker" if has_image(image.name) else "embedded"


def has_program() -> bool:
    """Return whether ``tensorflow_model_server`` is on PATH."""
    return shutil.which(PROGRAM) is not None


def has_image(name: str) -> bool:
    """Return whether a Docker engine answers and has the image `name`."""
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


def program_command(model_dir: Path, options: ServerOptions) -> list[str]:
    """Return the command line of ``tensorflow_model_server`` for a model.

    The program has no flag for an interface: it listens on all of them, whatever ``options.host``
    says. A caller that promised loopback has to say so to its user.
    """
    return [PROGRAM, *_flags(str(model_dir.absolute()), options.port, options)]


def docker_command(
    model_dir: Path, options: ServerOptions, image: DockerImage | None = None
) -> list[str]:
    """Return the command line that serves a model from a container.

    The port is published on ``options.host`` alone; the model is mounted read-only and the
    container's own file system is read-only too. Not run on a Docker engine so far.
    """
    image = image or DockerImage()
    inside = f"/models/{options.model_name}"
    host = f"[{options.host}]" if ":" in options.host else options.host
    return [
        "docker",
        "run",
        "--rm",
        "--init",
        "--read-only",
        f"--publish={host}:{options.port}:{_CONTAINER_PORT}",
        f"--mount=type=bind,source={model_dir.absolute()},target={inside},readonly",
        *(["--gpus=all"] if image.gpu else []),
        # Named outright, so that any image with the program in it works.
        f"--entrypoint={PROGRAM}",
        image.name,
        *_flags(inside, _CONTAINER_PORT, options),
    ]


def _flags(base_path: str, port: int, options: ServerOptions) -> list[str]:
    return [
        f"--port={port}",
        f"--model_name={options.model_name}",
        f"--model_base_path={base_path}",
        f"--file_system_poll_wait_seconds={max(1, round(options.poll_seconds))}",
        f"--tensorflow_inter_op_parallelism={options.inter_op_threads}",
        f"--tensorflow_intra_op_parallelism={options.intra_op_threads}",
        "--enable_model_warmup=true",
        "--enable_grpc_healthcheck_service=true",
        *(["--enable_serialization_as_tensor_content=true"] if options.tensor_content else []),
    ]
