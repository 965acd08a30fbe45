"""Options from environment variables: ``TUNESMITH_<COMMAND>_<OPTION>`` for each option.

Kubernetes and Docker set variables of the same form in every container for each service: for one
named ``tunesmith-serve`` they set ``TUNESMITH_SERVE_PORT=tcp://10.0.0.1:8500`` and half a dozen
more. Such variables are ignored.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import click

from tunesmith.cli import log_lines
from tunesmith.cli.argument_names import NamingContext
from tunesmith.cli.plugin_options import load_plugins

PREFIX = "TUNESMITH"

COMMANDS_WITH_LOG_FORMAT = ("run", "tune")
"""Commands whose ``--log-format`` sets the format of :mod:`tunesmith.cli.log_lines`."""

_INJECTED_NAME = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)")
_INJECTED_PORT = re.compile(r"(tcp|udp|sctp)://")


def prefix_of(parent: str, command: str) -> str:
    """Return the prefix of a command's variables: ``TUNESMITH_COMPONENT_EXAMPLE_GEN``.

    Args:
        parent: prefix of the group that the command belongs to.
        command: its name.
    """
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", command).replace("-", "_")
    return f"{parent}_{snake.upper()}"


def name_variables(
    command: click.Command, parent: click.Context, prefix: str, environment: Mapping[str, str]
) -> list[str]:
    """Set the environment variable of each option of `command`.

    Args:
        command: a command without subcommands.
        parent: the context of its group.
        prefix: of its variables.
        environment: the variables of the process.

    Returns:
        A warning for each group of variables with the prefix that is ignored.
    """
    names = {}
    for option in command.get_params(click.Context(command, parent)):
        if isinstance(option, click.Option) and option.name != "help":
            name = f"{prefix}_{_longest(option)[2:].replace('-', '_').upper()}"
            is_injected = _is_injected(name, environment.get(name, ""))
            option.envvar = None if is_injected else name
            names[name] = option
    there = [name for name in environment if name.startswith(f"{prefix}_")]
    injected = [name for name in there if _is_injected(name, environment[name])]
    return list(_warnings(injected, sorted(set(there) - set(injected) - set(names)), names))


def _warnings(
    injected: Sequence[str], unknown: Sequence[str], known: Collection[str]
) -> Iterator[str]:
    if injected:
        yield (
            f"ignored {', '.join(sorted(injected))}: set by Kubernetes or Docker for a service of "
            "that name, not an option"
        )
    for name in unknown:
        import difflib

        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        yield f"ignored {name}: this command has no such option{hint}"


class EnvironmentGroup(click.Group):
    """A group whose commands also read their options from environment variables.

    Args:
        prefix: of the variables of its commands.
    """

    def __init__(self, *args: Any, prefix: str, **more: Any) -> None:
        super().__init__(*args, **more)
        self._prefix = prefix

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is called, with the variables of its options set."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None:
            load_plugins(rest, prefix_of(self._prefix, name), os.environ)
        if name is not None and command is not None and not isinstance(command, click.Group):
            command.context_class = NamingContext
            prefix = prefix_of(self._prefix, name)
            if name in COMMANDS_WITH_LOG_FORMAT:
                variable = os.environ.get(f"{prefix}_LOG_FORMAT", "")
                log_lines.use_format(log_lines.format_of(rest, variable))
            for warning in name_variables(command, ctx, prefix, os.environ):
                log_lines.warn(warning)
        return name, command, rest


def _longest(option: click.Option) -> str:
    return max(option.opts, key=len)


def _is_injected(name: str, value: str) -> bool:
    is_port = name.endswith("_PORT") and _INJECTED_PORT.match(value)
    return bool(is_port or _INJECTED_NAME.fullmatch(name))
