"""The embedded server: TensorFlow's runtime behind gRPC, started with pip and nothing else."""

from __future__ import annotations

import dataclasses
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tunesmith.serving import logs
from tunesmith.serving.engines.engine import EngineLimit, EngineOptions, InProcessEngine
from tunesmith.serving.foreground import serve
from tunesmith.serving.options import ServerOptions
from tunesmith.serving.server import EmbeddedServer

ALSO_RUNS = ("tunesmith.cli.main", "tunesmith.cli.serve")
"""The program that :meth:`EmbeddedEngine.command` starts; counts as code of this module."""

_WITHOUT_OPTION = ("inter_op_threads", "intra_op_threads", "tensor_content")
"""Server options that ``tunesmith serve`` has no option for."""


class EmbeddedEngine(InProcessEngine):
    """The embedded server, in this process or as ``tunesmith serve --engine embedded``."""

    # The last resort of auto: it is always there.
    preference = 10
    keeps_host = True

    def unavailable(self, options: EngineOptions) -> str | None:
        """Return None: it comes with the extra ``serving``; a missing package is named at start."""
        del options
        return None

    def command(self, model_dir: Path | None, options: EngineOptions) -> list[str]:
        """Return the command line of the same server as a program of its own.

        Raises:
            EngineLimit: ``tunesmith serve`` has no option for a server option that was changed.
            ServingError: a file or an address cannot be used.
        """
        EmbeddedServer(model_dir, options).check()
        program = [sys.executable, "-m", "tunesmith.cli.main", "serve", "--engine=embedded"]
        source = [] if model_dir is None else [f"--model-dir={model_dir.absolute()}"]
        return [*program, *source, *_arguments(options)]

    def serve(
        self, model_dir: Path | None, options: EngineOptions, ready: Callable[[str], None]
    ) -> None:
        """Serve in this process; its log goes to standard error."""
        logs.configure(options.log_format, getattr(logging, options.log_level.upper()))
        serve(model_dir, options, ready=lambda server: ready(server.address))


def _arguments(options: EngineOptions) -> Iterator[str]:
    """Yield the arguments for what differs from the defaults of ``tunesmith serve``."""
    defaults = ServerOptions()
    for field in dataclasses.fields(ServerOptions):
        value = getattr(options, field.name)
        # With a socket the default is no port.
        if value is None or (value == getattr(defaults, field.name) and field.name != "port"):
            continue
        if field.name in _WITHOUT_OPTION:
            raise EngineLimit(f"tunesmith serve has no option for {field.name}: leave it unchanged")
        yield _argument(field.name, value)


def _argument(name: str, value: Any) -> str:
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{option}" if value else f"--no-{option}"
    if name == "socket_mode":
        return f"--{option}={value:o}"
    return f"--{option}={value.absolute() if isinstance(value, Path) else value}"


ENGINE = EmbeddedEngine()
