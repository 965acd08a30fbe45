"""Loads the plug-ins that decide which options a command has, before its options are parsed.

The sizes of a network and the parameters of a gate are options themselves, and all plug-ins are
found by the plug-in path. So ``--plugin-path``, ``--network`` and ``--gate``, or their variables,
are read ahead.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import pairwise

import click

from tunesmith.plugins import PluginError, set_plugin_path

GATE = click.option(
    "--gate",
    multiple=True,
    expose_value=False,
    metavar="NAME",
    help="Gate of the pipeline besides the built-in components: the name of an installed plug-in, "
    "or module:object (repeatable).",
)


def load_plugins(arguments: Sequence[str], prefix: str, environment: Mapping[str, str]) -> None:
    """Load the plug-ins that a command line or its variables name.

    Args:
        arguments: of a command.
        prefix: of its variables, such as ``TUNESMITH_RUN``.
        environment: the variables.

    Raises:
        click.UsageError: a plug-in cannot be loaded.
    """
    try:
        folders = _values("--plugin-path", arguments, prefix, environment, os.pathsep)
        if folders:
            set_plugin_path(folders)
        networks = _values("--network", arguments, prefix, environment)
        gates = _values("--gate", arguments, prefix, environment)
        if networks:
            from tunesmith.components.networks.network import choose_network

            choose_network(networks[-1])
        if gates:
            from tunesmith.pipeline.dag import choose_gates

            choose_gates(gates)
    except PluginError as error:
        raise click.UsageError(str(error)) from error


def _values(
    option: str,
    arguments: Sequence[str],
    prefix: str,
    environment: Mapping[str, str],
    separator: str | None = None,
) -> list[str]:
    """Return the values of an option; those of its variable if it is not given."""
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    found = [value for name, value in pairwise(own) if name == option]
    found += [each.partition("=")[2] for each in own if each.startswith(f"{option}=")]
    if found:
        return found
    variable = environment.get(f"{prefix}_{option[2:].replace('-', '_').upper()}", "")
    return [each for each in variable.split(separator) if each]
