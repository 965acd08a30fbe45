"""``tunesmith generate``: compose songs with a served model and write them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tunesmith.cli.console import ConsoleProgress
from tunesmith.cli.degenerate_songs import warn_of_degenerate
from tunesmith.cli.model_folder import base_path
from tunesmith.cli.options import FILE, FOLDER, PLUGIN_PATH, add_options
from tunesmith.cli.output_files import OPTIONS as OUTPUT_OPTIONS
from tunesmith.cli.output_files import OutputFile, output_files, write_songs
from tunesmith.cli.sampling_options import FilterType, SamplingCommand
from tunesmith.cli.signals import Terminated, exit_code

if TYPE_CHECKING:
    from tunesmith.client import Composer, Song, SongsInProgress

DEFAULT_SERVER = "localhost:8500"

DEGENERATE = 4
"""The exit code if a degenerate song was written."""


class Numbers(click.ParamType):  # type: ignore[type-arg]
    """Whole numbers joined by commas, such as the pitches ``60,64,67``."""

    name = "numbers"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        try:
            return tuple(int(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not whole numbers joined by commas: 60,64,67", param, ctx)


NUMBERS = Numbers()

_SERVER = (
    click.option(
        "--server", metavar="ADDRESS", help=f"HOST:PORT or unix:PATH.  [default: {DEFAULT_SERVER}]"
    ),
    click.option(
        "--model-dir",
        type=FOLDER,
        help="Serve this model for the duration, instead of --server: a folder of versions, one "
        "version, or the Trainer's artifact.",
    ),
    click.option("--model-name", default="tunesmith", show_default=True, help="Name of the model."),
    click.option("--model-version", type=int, help="Version of the model.  [default: the latest]"),
    click.option("--tls", is_flag=True, help="Use TLS with the system's certificate authorities."),
    click.option("--tls-ca", type=FILE, help="Use TLS with these certificate authorities (PEM)."),
    click.option("--tls-cert", type=FILE, help="This client's certificate (PEM), with --tls-key."),
    click.option("--tls-key", type=FILE, help="The private key of --tls-cert (PEM)."),
    click.option(
        "--deadline", type=float, default=30.0, show_default=True, help="Seconds per call."
    ),
    click.option(
        "--patience",
        type=float,
        default=60.0,
        show_default=True,
        help="Keep retrying an unavailable or overloaded server for this many seconds.",
    ),
)

_START = (
    click.option("--start-note", type=int, metavar="P", help="First pitch of the song; 60 is C4."),
    click.option("--start-chord", type=NUMBERS, metavar="P,P,…", help="First chord of the song."),
    click.option("--start-random", is_flag=True, help="Start after random frames."),
    click.option("--primer", type=FILE, help="MIDI file to continue."),
)

_DRAWING = (
    click.option(
        "--steps", type=int, default=300, show_default=True, help="Number of frames to compose."
    ),
    click.option(
        "--filter",
        "filters",
        type=FilterType(),
        multiple=True,
        metavar="NAME[=NUMBER]",
        help="Sampling filter of your own, a plug-in or MODULE:OBJECT, applied after the others "
        "(repeatable).",
    ),
    click.option(
        "--count", type=int, default=1, show_default=True, help="Number of songs to compose."
    ),
    click.option("--seed", type=int, help="Random seed; same seed, same model, same song."),
    click.option(
        "--loop",
        type=click.Choice(["client", "server"]),
        default="client",
        show_default=True,
        help="Where frames are drawn; server: in one call for the whole song, with other random "
        "numbers.",
    ),
    click.option(
        "--speculate",
        type=int,
        metavar="N",
        help="Frames to guess ahead in each call; 0 = none.  [default: chosen by measuring]",
    ),
)

_PLAYING = (
    click.option(
        "--program",
        type=NUMBERS,
        help="General MIDI program; two or three for melody, inner voices and bass: 73,0,32.",
    ),
    click.option("--velocity", type=NUMBERS, help="Velocity of every note; two or three by voice."),
    click.option("--tempo", type=float, help="Beats per minute; it places the bar lines."),
    click.option("--play-fps", type=float, help="Frames per second of the written files."),
)


def _options(command: Any) -> Any:
    return add_options(
        command, [*_SERVER, *_START, *_DRAWING, *_PLAYING, *OUTPUT_OPTIONS, PLUGIN_PATH]
    )


@click.command("generate", cls=SamplingCommand)
@_options
def command(
    server: str | None,
    model_dir: Path | None,
    model_name: str,
    count: int,
    steps: int,
    loop: str,
    **options: Any,
) -> None:
    """Compose songs and write them; several songs get numbered names.

    Ctrl-C writes the frames composed so far. A degenerate song, which is silent or has more rests
    or repetition than 95 % of the training songs, is written with a warning; the exit code is 4.
    """
    if server and model_dir:
        raise click.UsageError("give --server or --model-dir, not both")
    outputs = output_files(options)
    playing = _playing(options)
    reached = _reached(options)
    with (
        _address(server, model_dir, model_name) as address,
        _composer(address, model_name, **reached) as composer,
    ):
        if loop == "server":
            songs = composer.generate_many(count, steps, loop="server", **options)
            write_songs(songs, outputs, playing)
        else:
            progress = composer.begin(count, steps, **options)
            songs = _compose_and_write(progress, steps, outputs, playing)
    if warn_of_degenerate(songs, outputs[0].paths(len(songs))):
        raise SystemExit(DEGENERATE)


def _compose_and_write(
    progress: SongsInProgress, steps: int, outputs: list[OutputFile], playing: dict[str, Any]
) -> list[Song]:
    """Compose to the end, or to an error or Ctrl-C, and write the frames composed by then."""
    from tunesmith.client import ComposerError

    try:
        songs = _finished(progress, steps)
    except (ComposerError, KeyboardInterrupt) as stopped:
        songs = progress.songs()
        length = min(len(song.frames) for song in songs)
        if length > 0:
            write_songs(songs, outputs, playing)
        if isinstance(stopped, ComposerError):
            raise
        kept = f"after {length} of {steps} frames, which are written"
        when = kept if length else "before the first frame"
        how = "terminated" if isinstance(stopped, Terminated) else "interrupted"
        click.echo(f"tunesmith: {how} {when}", err=True)
        raise SystemExit(exit_code(stopped)) from None
    write_songs(songs, outputs, playing)
    return songs


def _finished(progress: SongsInProgress, steps: int) -> list[Song]:
    """Compose to the end, showing progress."""
    count = len(progress.songs())
    title = "composing" if count == 1 else f"composing {count} songs"
    with ConsoleProgress().task(title, total=steps) as task:
        return progress.finish(task.update)


def compose(address: str, model_name: str, count: int, steps: int, **options: Any) -> list[Song]:
    """Return `count` songs from the server at `address`, showing progress."""
    with _composer(address, model_name) as composer:
        return _finished(composer.begin(count, steps, **options), steps)


def _playing(options: dict[str, Any]) -> dict[str, Any]:
    """Take the options of how songs are played from `options` and return those that are given."""
    from tunesmith.client import Song

    playing = {
        "program": options.pop("program"),
        "velocity": options.pop("velocity"),
        "tempo": options.pop("tempo"),
        "frames_per_second": options.pop("play_fps"),
    }
    single = {
        name: value[0] if isinstance(value, tuple) and len(value) == 1 else value
        for name, value in playing.items()
    }
    given = {name: value for name, value in single.items() if value is not None}
    # A value out of range is refused before songs are composed, not after.
    Song((), 5.0).played(**given)
    return given


def _reached(options: dict[str, Any]) -> dict[str, Any]:
    """Take the options of the connection from `options`, as arguments of a composer."""
    from tunesmith.client import tls_credentials

    files = [options.pop(name) for name in ("tls_ca", "tls_cert", "tls_key")]
    secure = options.pop("tls") or any(files)
    return {
        "version": options.pop("model_version"),
        "deadline": options.pop("deadline"),
        "patience": options.pop("patience"),
        "credentials": tls_credentials(*files) if secure else None,
    }


def _composer(address: str, model_name: str, **reached: Any) -> Composer:
    from tunesmith.client import Composer

    return Composer(address, model=model_name, **reached)


@contextmanager
def _address(server: str | None, model_dir: Path | None, model_name: str) -> Iterator[str]:
    if model_dir is None:
        yield server or DEFAULT_SERVER
        return
    from tunesmith.serving import EmbeddedServer, ServerOptions

    options = ServerOptions(model_name=model_name, port=0)
    with base_path(model_dir) as base, EmbeddedServer(base, options) as embedded:
        yield embedded.address
