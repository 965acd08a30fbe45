"""The protocol of serving engines, the engines there are, and the choice of ``auto``.

Each other module of this folder is an engine, under the module's name with hyphens: it has an
object ``ENGINE`` that implements :class:`Engine`. Nothing else lists the engines: the choices of
``--engine`` and what ``auto`` tries follow from these modules. A user's own engine is a plug-in of
the kind ``engines`` (see :mod:`tunesmith.plugins`).
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from tunesmith.plugins import is_reference, load_plugin, plugin_names
from tunesmith.serving import engines
from tunesmith.serving.errors import EngineMissing, ServingError
from tunesmith.serving.options import ServerOptions

AUTO = "auto"
"""The name that stands for the best available engine."""

DEFAULT_IMAGE = "tunesmith-serving"
"""The container image that Dockerfile.serving builds in docs/serving.md."""

EVERY_INTERFACE = ("0.0.0.0", "::")
"""Hosts that stand for all network interfaces of the machine."""


class EngineUnknown(ServingError):
    """No engine has the requested name, or a plug-in of that name is not an engine."""


class EngineLimit(ServingError):
    """The engine does not support the value of an option."""


def _own_user() -> str | None:
    # The process's user can read a private key that is readable by its owner only. None where the
    # operating system has no user numbers.
    return f"{os.getuid()}:{os.getgid()}" if hasattr(os, "getuid") else None


@dataclass(frozen=True)
class EngineOptions(ServerOptions):
    """The options of a server, and those of the container that an engine may run it in.

    Attributes:
        image: name of the container image, with a tag if wanted. Any image that has
            ``tensorflow_model_server`` on its PATH will do, such as those of tensorflow/serving.
        gpu: give the container every GPU of the machine.
        user: numbers of the user and the group that the program in the container runs as, such as
            ``1000:1000``; by default those of this process, so that it can read what this user can
            read. None leaves it to the image.
    """

    image: str = DEFAULT_IMAGE
    gpu: bool = True
    user: str | None = field(default_factory=_own_user)


@runtime_checkable
class Engine(Protocol):
    """A program that serves exported models over TensorFlow Serving's gRPC services.

    Attributes:
        preference: ``auto`` takes the available built-in engine with the highest preference.
        keeps_host: whether the server listens on ``options.host`` alone. An engine that listens on
            every interface is taken by ``auto`` only where the options name every interface.
    """

    preference: int = 0
    keeps_host: bool = True

    def unavailable(self, options: EngineOptions) -> str | None:
        """Return why this machine cannot serve with these options, in one line; None if it can.

        Looks at the machine (a program on PATH, an image); starts no server.

        Args:
            options: how the server is to be set up.
        """

    def command(self, model_dir: Path | None, options: EngineOptions) -> list[str]:
        """Return the command line that serves until it gets SIGTERM or SIGINT.

        ``tunesmith serve`` replaces itself by this command. The engine need not be available:
        ``--dry-run`` prints the command on any machine.

        Args:
            model_dir: base path of one model, ``<model_dir>/<version>/saved_model.pb``; None where
                ``options.model_config_file`` lists the models.
            options: how the server is to be set up. The port is never 0.

        Raises:
            EngineLimit: the engine does not support an option; no option is ignored silently.
            ServingError: something that the options name is wrong.
        """


@runtime_checkable
class InProcessEngine(Engine, Protocol):
    """An engine that ``tunesmith serve`` runs in its own process; it finds a free port itself."""

    def serve(
        self, model_dir: Path | None, options: EngineOptions, ready: Callable[[str], None]
    ) -> None:
        """Serve until SIGTERM or SIGINT.

        Args:
            model_dir: as in :meth:`Engine.command`.
            options: how the server is to be set up; port 0 stands for any free port.
            ready: called once with the server's address when it answers requests.

        Raises:
            ServingError: the server cannot start.
        """


def engine_names() -> tuple[str, ...]:
    """Return the names of the built-in engines, sorted."""
    modules = {each.name for each in pkgutil.iter_modules(engines.__path__)} - {"engine"}
    return tuple(sorted(each.replace("_", "-") for each in modules))


def load_engine(name: str) -> Engine:
    """Import an engine.

    Args:
        name: a built-in engine, an entry point of the group ``tunesmith.engines``, or
            ``module:object``.

    Raises:
        EngineUnknown: there is no engine of this name, or the object is not an engine.
        PluginError: the plug-in cannot be imported.
    """
    if name in engine_names():
        module = f"{engines.__name__}.{name.replace('-', '_')}"
        found: object = importlib.import_module(module).ENGINE
    else:
        _require_plugin_name(name)
        found = load_plugin("engines", name)
        if isinstance(found, type):
            found = found()
    if not isinstance(found, Engine):
        raise EngineUnknown(
            f"{name} is not an engine: derive its class from "
            "tunesmith.serving.engines.engine.Engine, and define unavailable and command"
        )
    return found


def choose_engine(options: EngineOptions) -> str:
    """Return the built-in engine that ``auto`` stands for: the available one of most preference.

    Args:
        options: how the server is to be set up.

    Raises:
        EngineMissing: none can serve with these options on this machine.
    """
    found = {name: load_engine(name) for name in engine_names()}
    reasons = []
    for name in sorted(found, key=lambda name: found[name].preference, reverse=True):
        engine = found[name]
        if engine.keeps_host or options.host in EVERY_INTERFACE:
            reason = engine.unavailable(options)
        else:
            reason = f"it listens on every interface, not on {options.host} alone"
        if reason is None:
            return name
        reasons.append(f"{name}: {reason}")
    raise EngineMissing(f"no engine is available: {'; '.join(reasons)}")


def _require_plugin_name(name: str) -> None:
    if name in plugin_names("engines") or is_reference(name):
        return
    known = ", ".join((AUTO, *engine_names(), *plugin_names("engines")))
    raise EngineUnknown(f"the engine must be one of {known}, or module:object, not {name!r}")
