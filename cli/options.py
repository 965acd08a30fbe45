"""Options that several subcommands share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)

NO_WAIT = click.option(
    "--no-wait", is_flag=True, help="Fail instead of waiting if another run holds the lock."
)

PRINT_CONFIG = click.option(
    "--print-config",
    is_flag=True,
    help="Print the configuration in force as TOML, and run nothing.",
)

DRY_RUN = click.option(
    "--dry-run", is_flag=True, help="Print which components would be executed and why; run nothing."
)

LOG_FORMAT = click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Progress as words, or as one JSON object a line with time and level.",
)

BEAM_OPTIONS = click.argument(
    "beam_options", nargs=-1, type=click.UNPROCESSED, metavar="[-- BEAM OPTIONS]"
)


def add_options(command: Command, options: Sequence[Callable[[Command], Command]]) -> Command:
    """Add `options`, which a --help then lists in their order."""
    for option in reversed(options):
        command = option(command)
    return command


def check_beam_options(options: tuple[str, ...]) -> tuple[str, ...]:
    """Return `options` as they are.

    Raises:
        click.UsageError: the first is no option, so it was not meant for Beam.
    """
    if options and not options[0].startswith("-"):
        raise click.UsageError(f"unexpected argument {options[0]!r}: Beam's options follow a --")
    return options


def given(parameters: type[Any], values: dict[str, Any]) -> dict[str, Any]:
    """Return those of `values` that are fields of the dataclass `parameters`."""
    names = {field.name for field in dataclasses.fields(parameters)}
    return {name: value for name, value in values.items() if name in names}
