"""Lines on standard error: text for a person, or one JSON object per line for a program."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import click

Format = Literal["text", "json"]
Level = Literal["info", "warning", "error"]

_MARKS: dict[str, Level] = {"warning: ": "warning"}


class _Lines:
    """The format of the lines of this process; a process has one standard error."""

    def __init__(self) -> None:
        self.format: Format = "text"


_lines = _Lines()


def use_format(chosen: Format) -> None:
    """Write lines in this format from now on."""
    _lines.format = chosen


def format_of(arguments: Sequence[str], variable: str) -> Format:
    """Return the format that ``--log-format`` or its environment variable sets.

    It is read before click parses the options, so that an error in them has that format, too.

    Args:
        arguments: of the command.
        variable: value of the environment variable, which the option overrides.
    """
    chosen = variable
    for place, argument in enumerate(arguments):
        if argument == "--":
            break
        option, equals, value = argument.partition("=")
        if option == "--log-format":
            chosen = value if equals else "".join(arguments[place + 1 : place + 2])
    return "json" if chosen == "json" else "text"


def is_json() -> bool:
    """Return whether lines are JSON."""
    return _lines.format == "json"


def say(line: str) -> None:
    """Write a line about progress; one that begins with ``warning:`` is a warning."""
    mark = next((each for each in _MARKS if line.startswith(each)), "")
    if is_json():
        _write_json(line.removeprefix(mark), _MARKS.get(mark, "info"))
    else:
        click.echo(line, err=True)


def warn(message: str) -> None:
    """Write a warning of the command line."""
    if is_json():
        _write_json(message, "warning")
    else:
        click.echo(f"tunesmith: warning: {message}", err=True)


def fail(message: str) -> None:
    """Write the error that ends the program."""
    line = " ".join(message.split())
    if is_json():
        _write_json(line, "error")
    else:
        click.echo(f"tunesmith: error: {line}", err=True)


def _write_json(message: str, level: Level) -> None:
    import json

    from tunesmith.components.progress import current_component

    line = {"time": _now(), "level": level, "message": message}
    component = current_component()
    if component:
        line["component"] = component
    click.echo(json.dumps(line), err=True)


def _now() -> str:
    """Return the time in UTC, as ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
