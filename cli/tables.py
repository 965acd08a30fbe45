"""Tables on standard output: for a person, or as JSON for a program."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

PLAIN_WIDTH = 200
"""Columns of a table that is not written to a terminal."""

_STYLES = {
    "complete": "green",
    "skipped": "dim",
    "refused": "yellow",
    "running": "cyan",
}


def console() -> Console:
    """Return the console of the tables, as wide as the terminal or :data:`PLAIN_WIDTH`."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)


def print_json(content: Any) -> None:
    """Print a dataclass, or a list of them, as JSON."""
    click.echo(json.dumps(content, indent=2, default=dataclasses.asdict))


def styled(outcome: str) -> str:
    """Return an outcome in its colour, in rich's markup."""
    style = _STYLES.get(outcome, "red")
    return f"[{style}]{outcome}[/]"


def moment(seconds: float) -> str:
    """Return a time, given in seconds since the epoch, in the reader's time zone."""
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M:%S}"


def duration(seconds: float | None) -> str:
    """Return a duration in words; empty if it is unknown."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def figure(value: float | None) -> str:
    """Return a figure with three decimals; empty if it is unknown."""
    return "" if value is None else f"{value:.3f}"


def parameter_texts(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return nested parameters as text: ``{"architecture.units": "128"}``."""
    from tunesmith.components.parameter_values import leaves

    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in leaves(parameters).items()
    }
