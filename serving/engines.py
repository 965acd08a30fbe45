"""Which engine hosts a model, and the command line that starts it.

Three engines speak the same protocol: the ``tensorflow_model_server`` program, the same program in
a container image, and the embedded server. A command line is a function of its parameters and of
the configuration file that it names; its flags are those of :mod:`tunesmith.serving.flags`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tunesmith.serving.errors import EngineMissing
from tunesmith.serving.flags import (
    BATCHING_PARAMETERS,
    BATCHING_PARAMETERS_ON_A_GPU,
    EngineLimit,
    Place,
    base_paths,
    can_do,
    serving_flags,
)
from tunesmith.serving.options import ServerOptions

Engine = Literal["tensorflow-serving", "docker", "embedded"]
EngineChoice = Literal["auto", "tensorflow-serving", "docker", "embedded"]

PROGRAM = "tensorflow_model_server"
DEFAULT_IMAGE = "tunesmith-serving"
_PROBE_SECONDS = 5.0

# Inside the container.
_PORT = 8500
_METRICS_PORT = 8501
_MODEL = "/models/model"
_SETTINGS = "/etc/tunesmith/host"
_SOCKETS = "/run/tunesmith"


def _own_user() -> str | None:
    # The one who may read a key that nobody else may; None where the system has no such numbers.
    return f"{os.getuid()}:{os.getgid()}" if hasattr(os, "getuid") else None


@dataclass(frozen=True)
class DockerImage:
    """The container image with TensorFlow Serving in it.

    Attributes:
        name: image name, with a tag if wanted. Any image with the program on its PATH will do, the
            stock ones of tensorflow/serving among them.
        gpu: hand every GPU of the machine to the container.
        user: numbers of the user and group that the program runs as; by default those of this
            process, so that it can read what this user can. None leaves it to the image.
    """

    name: str = DEFAULT_IMAGE
    gpu: bool = True
    user: str | None = field(default_factory=_own_user)


def choose_engine(
    choice: EngineChoice,
    image: DockerImage | None = None,
    *,
    every_interface: bool = False,
    options: ServerOptions | None = None,
) -> Engine:
    """Return the engine to use: the one named, or for ``auto`` the best one present.

    ``auto`` takes the program if it is on PATH, Docker if its engine answers and has the image, and
    the embedded server otherwise. The program always listens on every interface, so ``auto`` takes
    it only where that is what was asked for; and neither of the two where they cannot do what is.

    Args:
        choice: an engine, or ``auto``.
        image: the container image that Docker must have.
        every_interface: whether the server may be reached from other machines.
        options: what the server is to do.

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
    if options is not None and not can_do(options):
        return "embedded"
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


def program_command(model_dir: Path | None, options: ServerOptions) -> list[str]:
    """Return the command line of ``tensorflow_model_server``.

    The program has no flag for an interface: it listens on all of them, whatever ``options.host``
    says. A caller that promised loopback has to say so to its user.

    Args:
        model_dir: the folder of one model's versions; not used where ``options`` name a file of
            models.
        options: what the server is to do.

    Raises:
        EngineLimit: the program cannot do what ``options`` ask for.
        ConfigInvalid: the file of models is wrong.
    """
    if options.model_config_file is not None:
        base_paths(options.model_config_file)
    place = Place(
        port=options.port or 0,
        metrics_port=options.metrics_port or 0,
        base_path=_one_model(model_dir, options),
        batching=BATCHING_PARAMETERS,
        path=_absolute,
        socket=_absolute,
    )
    return [PROGRAM, *serving_flags(options, place)]


def docker_command(
    model_dir: Path | None, options: ServerOptions, image: DockerImage | None = None
) -> list[str]:
    """Return the command line that serves models from a container.

    Ports are published on ``options.host`` alone. The container's file system is read-only, what it
    reads of this machine is mounted read-only, and it has no capability; the folder of a unix
    socket is the one thing mounted to be written. Docker's command line takes these words
    (tests/serving/test_engines.py); no Docker engine has run them so far.

    Args:
        model_dir: as in :func:`program_command`.
        options: what the server is to do.
        image: the image, and what it gets of the machine.

    Raises:
        EngineLimit: the program cannot do what ``options`` ask for, or Docker cannot mount a path.
        ConfigInvalid: the file of models is wrong.
    """
    image = image or DockerImage()
    mounts = _Mounts()
    served = _one_model(model_dir, options)
    if served is not None:
        mounts.add(served, _MODEL)
    elif options.model_config_file is not None:
        # At their own places, so that the file says the same there.
        for path in dict.fromkeys(base_paths(options.model_config_file)):
            if "://" not in path:
                mounts.add(path, path)
    # A file that is read again comes with its folder: at a mount of its own, one that was replaced,
    # as editors do, would stay as it was.
    followed = options.model_config_file if options.model_config_poll_seconds > 0 else None
    place = Place(
        port=0 if options.port is None else _PORT,
        metrics_port=_METRICS_PORT,
        base_path=_MODEL if served is not None else None,
        batching=BATCHING_PARAMETERS_ON_A_GPU if image.gpu else BATCHING_PARAMETERS,
        path=lambda path: mounts.file(path, with_folder=path == followed),
        socket=mounts.socket,
    )
    flags = serving_flags(options, place)
    return [
        "docker",
        "run",
        "--rm",
        # TensorFlow Serving handles no signal, and the kernel keeps SIGTERM and SIGINT from a
        # container's first process that does not.
        "--init",
        "--read-only",
        "--tmpfs=/tmp",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        *([f"--user={image.user}"] if image.user else []),
        *_published(options),
        *mounts.words,
        *(["--gpus=all"] if image.gpu else []),
        # Named outright, so that any image with the program in it works.
        f"--entrypoint={PROGRAM}",
        image.name,
        *flags,
    ]


class _Mounts:
    """What a container sees of this machine, and where."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def add(self, source: str, target: str, *, readonly: bool = True) -> None:
        if "," in source:
            raise EngineLimit(f"Docker cannot mount {source}: rename it so that it has no comma")
        word = f"--mount=type=bind,source={source},target={target}"
        self.words.append(word + ",readonly" if readonly else word)

    def file(self, path: Path, *, with_folder: bool) -> str:
        """Mount a file, or the folder that it is in, and return the file's path inside."""
        inside = f"{_SETTINGS}/{len(self.words)}"
        self.add(_absolute(path.parent if with_folder else path), inside)
        return f"{inside}/{path.name}" if with_folder else inside

    def socket(self, path: Path) -> str:
        """Mount the folder of a socket that is to be, and return the socket's path inside."""
        self.add(_absolute(path.parent), _SOCKETS, readonly=False)
        return f"{_SOCKETS}/{path.name}"


def _one_model(model_dir: Path | None, options: ServerOptions) -> str | None:
    if options.model_config_file is not None:
        return None
    if model_dir is None:
        raise EngineLimit("no model to serve: name --model-dir or --model-config-file")
    return _absolute(model_dir)


def _published(options: ServerOptions) -> list[str]:
    host = f"[{options.host}]" if ":" in options.host else options.host
    ports = ((options.port, _PORT), (options.metrics_port, _METRICS_PORT))
    return [
        f"--publish={host}:{outside}:{inside}" for outside, inside in ports if outside is not None
    ]


def _absolute(path: Path) -> str:
    return str(path.absolute())
