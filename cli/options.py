"""Options that several subcommands share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from tunesmith.plugins import PluginError, set_plugin_path

Command = TypeVar("Command", bound=Callable[..., Any])

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)

NO_WAIT = click.option(
    "--no-wait", is_flag=True, help="Fail instead of waiting if another run holds the lock."
)

PRINT_CONFIG = click.option(
    "--print-config",
    is_flag=True,
    help="Print the effective configuration as TOML, and exit.",
)

DRY_RUN = click.option(
    "--dry-run", is_flag=True, help="Print which components would be executed, and why, and exit."
)

LOG_FORMAT = click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Format of progress lines: text, or one JSON object per line with time and level.",
)


def _search_plugins(ctx: click.Context, param: click.Parameter, folders: tuple[Path, ...]) -> None:
    del param
    if not folders:
        return  # TUNESMITH_PLUGIN_PATH stays in force.
    try:
        set_plugin_path(folders)
    except PluginError as error:
        raise click.UsageError(str(error), ctx) from error


PLUGIN_PATH = click.option(
    "--plugin-path",
    type=FOLDER,
    multiple=True,
    # Before the options that name a plug-in.
    is_eager=True,
    expose_value=False,
    callback=_search_plugins,
    help="Folder to search for plug-ins, after the installed packages (repeatable).",
)

BEAM_OPTIONS = click.argument(
    "beam_options", nargs=-1, type=click.UNPROCESSED, metavar="[-- BEAM OPTIONS]"
)


def add_options(command: Command, options: Sequence[Callable[[Command], Command]]) -> Command:
    """Add `options` to a command, in the order of --help."""
    for option in reversed(options):
        command = option(command)
    return command


def check_beam_options(options: tuple[str, ...]) -> tuple[str, ...]:
    """Return `options` unchanged.

    Raises:
        click.UsageError: the first does not begin with a dash, so it was not meant for Beam.
    """
    if options and not options[0].startswith("-"):
        raise click.UsageError(
            f"unexpected argument {options[0]!r}: options for Beam must follow --"
        )
    return options


def given(parameters: type[Any], values: dict[str, Any]) -> dict[str, Any]:
    """Return the items of `values` that are fields of the dataclass `parameters`."""
    names = {field.name for field in dataclasses.fields(parameters)}
    return {name: value for name, value in values.items() if name in names}
