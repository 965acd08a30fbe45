"""Options that several subcommands share, and their way into the components' parameters."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)

MIDI_DIR = click.option(
    "--midi-dir", type=FOLDER, required=True, help="Folder of MIDI files, searched to its depths."
)


class NumberRange(click.ParamType):  # type: ignore[type-arg]
    """``LOW..HIGH``, two whole numbers."""

    name = "range"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        found = re.fullmatch(r"(-?\d{1,4})\.\.(-?\d{1,4})", str(value))
        if not found:
            self.fail(f"{value!r} is not LOW..HIGH, such as -5..6", param, ctx)
        return int(found[1]), int(found[2])


_READING = (
    click.option(
        "--track",
        default="first",
        show_default=True,
        metavar="CHOICE",
        help="Which instruments are the music: first, all, name:PIANO or program:0.",
    ),
    click.option(
        "--fps",
        type=float,
        default=5.0,
        show_default=True,
        help="Frames per second of the grid.",
    ),
    click.option(
        "--frames-per-beat",
        type=int,
        default=0,
        metavar="N",
        help="Let the grid follow each song's tempo: N frames a quarter note, instead of --fps.",
    ),
    click.option(
        "--keep-short-notes",
        is_flag=True,
        help="Let a note sound in one frame at least; pretty_midi's grid drops shorter ones.",
    ),
    click.option(
        "--pitch-range",
        type=NumberRange(),
        default="0..127",
        show_default=True,
        metavar="LOW..HIGH",
        help="Leave out pitches outside.",
    ),
    click.option(
        "--transpose",
        type=NumberRange(),
        default="0..0",
        show_default=True,
        metavar="LOW..HIGH",
        help="Learn the training songs in other keys too, shifted by these semitones.",
    ),
    click.option(
        "--min-frames",
        type=int,
        default=10,
        show_default=True,
        help="Songs with fewer frames are rejected.",
    ),
    click.option(
        "--eval-fraction",
        type=float,
        default=0.1,
        show_default=True,
        help="Share of the songs that is held out.",
    ),
    click.option(
        "--test-fraction",
        type=float,
        default=0.0,
        show_default=True,
        help="Share of the songs that is set aside besides, for judging only.",
    ),
    click.option(
        "--max-vocabulary",
        type=int,
        default=1000,
        show_default=True,
        help="Sounding frames in the vocabulary at most; the paper has 200.",
    ),
    click.option(
        "--min-count",
        type=int,
        default=1,
        show_default=True,
        help="Rarer frames stay out of the vocabulary.",
    ),
)

BEAM_OPTIONS = click.argument(
    "beam_options", nargs=-1, type=click.UNPROCESSED, metavar="[-- BEAM OPTIONS]"
)


def reading_options(command: Command) -> Command:
    """Add the options that say how MIDI becomes tokens."""
    return add_options(command, _READING)


def add_options(command: Command, options: Sequence[Callable[[Command], Command]]) -> Command:
    """Add `options`, which a --help then lists in their order."""
    for option in reversed(options):
        command = option(command)
    return command


@contextmanager
def usage_errors() -> Iterator[None]:
    """Tell a value that a component's parameters refuse as an error of the command line."""
    try:
        yield
    except ValueError as error:
        raise click.UsageError(str(error)) from error


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
