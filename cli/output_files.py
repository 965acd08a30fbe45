"""The files that ``tunesmith generate`` writes, and their formats, checked before it composes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tunesmith.cli.options import FILE

if TYPE_CHECKING:
    from tunesmith.client import Song
    from tunesmith.client.formats.format import Format


class FormatType(click.ParamType):  # type: ignore[type-arg]
    """A format of one's own: the name of a plug-in, or ``module:object``."""

    name = "format"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Format:
        from tunesmith.client import BadOption
        from tunesmith.client.formats.registry import load_format

        try:
            return load_format(str(value))
        except BadOption as error:
            self.fail(str(error), param, ctx)


OPTIONS = (
    click.option(
        "--out",
        type=FILE,
        multiple=True,
        default=(Path("song.mid"),),
        show_default=True,
        help="File to write (repeatable); its suffix names the format: .mid, .png, .wav, .html, "
        ".json, .musicxml or that of a plug-in.",
    ),
    click.option("--png", type=FILE, help="Also write the piano roll as PNG to this file."),
    click.option("--html", type=FILE, help="Also write a page that plays the song to this file."),
    click.option("--wav", type=FILE, help="Also write the sound as WAV to this file."),
    click.option(
        "--format",
        "formats",
        type=FormatType(),
        multiple=True,
        metavar="NAME",
        help="Format of your own for --out, a plug-in or MODULE:OBJECT (repeatable).",
    ),
)
"""The options of the output files, for :func:`tunesmith.cli.options.add_options`."""


@dataclass(frozen=True)
class OutputFile:
    """A file that each song is written to, under a numbered name if there are several songs.

    Args:
        path: the file.
        format: its format.
        named: whether the line about the song names it: the files of --out.
    """

    path: Path
    format: Format
    named: bool

    def paths(self, count: int) -> list[Path]:
        """Return song.mid for one song, song-01.mid to song-10.mid for ten."""
        if count == 1:
            return [self.path]
        digits = len(str(count))
        stems = [f"{self.path.stem}-{number:0{digits}}" for number in range(1, count + 1)]
        return [self.path.with_stem(stem) for stem in stems]


def output_files(options: dict[str, Any]) -> list[OutputFile]:
    """Take the options of the output files from `options` and return the files.

    Raises:
        click.UsageError: no format has a suffix, a folder is missing, or a file is given twice.
        MissingLibrary: a format needs a library that is not installed.
    """
    from tunesmith.client import UnknownFormat
    from tunesmith.client.formats import html, png, wav
    from tunesmith.client.formats.registry import format_of

    own: Sequence[Format] = options.pop("formats")
    try:
        files = [OutputFile(path, format_of(path, own), named=True) for path in options.pop("out")]
    except UnknownFormat as error:
        raise click.UsageError(f"{error}, or name a format of your own by --format") from error
    for name, module in {"png": png, "html": html, "wav": wav}.items():
        path = options.pop(name)
        if path is not None:
            files.append(OutputFile(path, module.FORMAT, named=False))
    for number, each in enumerate(files):
        if each.path in [other.path for other in files[:number]]:
            raise click.UsageError(f"{each.path} is given twice")
        if not each.path.parent.is_dir():
            raise click.UsageError(f"there is no folder {each.path.parent} for {each.path.name}")
        if each.format.library is not None:
            each.format.library.require(f"{each.path} ({each.format.name})")
    return files


def write_songs(
    songs: Sequence[Song], files: Sequence[OutputFile], playing: dict[str, Any]
) -> None:
    """Write songs and print a line about each.

    Args:
        songs: the songs.
        files: the files of each.
        playing: how they are played, as arguments of :meth:`tunesmith.client.Song.played`.
    """
    numbered = [each.paths(len(songs)) for each in files]
    for index, song in enumerate(songs):
        played = song.played(**playing)
        for each, paths in zip(files, numbered, strict=True):
            played.save(paths[index], format=each.format)
        names = [
            str(paths[index]) for each, paths in zip(files, numbered, strict=True) if each.named
        ]
        click.echo(
            f"{', '.join(names)}: {played.summary()}, seed {song.seed}, "
            f"version {song.model_version}"
        )
