"""``tunesmith generate``: ask a server for songs and write them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tunesmith.cli.console import ConsoleProgress
from tunesmith.cli.degenerate_songs import warn_of_degenerate
from tunesmith.cli.model_folder import base_path
from tunesmith.cli.options import FILE, FOLDER, add_options
from tunesmith.cli.signals import Terminated, exit_code

if TYPE_CHECKING:
    from tunesmith.client import Composer, Song, SongsInProgress

DEFAULT_SERVER = "localhost:8500"

DEGENERATE = 4
"""The exit code where a song was written that is silent, or dwells beyond what the corpus does."""

# What is written of each song: the option, and the method of Song.
_WRITERS = {
    "out": "write",
    "png": "write_picture",
    "wav": "write_sound",
    "html": "write_player",
}


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
        help="Serve this model for the duration, instead of --server: its folder of versions, one "
        "of them, or the Trainer's artifact.",
    ),
    click.option(
        "--model-name", default="tunesmith", show_default=True, help="Name on the server."
    ),
    click.option("--model-version", type=int, help="Compose on this version, not the latest."),
    click.option("--tls", is_flag=True, help="Speak TLS, trusting the usual authorities."),
    click.option("--tls-ca", type=FILE, help="Speak TLS, trusting these authorities (PEM)."),
    click.option("--tls-cert", type=FILE, help="This client's certificate (PEM), with --tls-key."),
    click.option("--tls-key", type=FILE, help="The private key of --tls-cert (PEM)."),
    click.option(
        "--deadline", type=float, default=30.0, show_default=True, help="Seconds for one call."
    ),
    click.option(
        "--patience",
        type=float,
        default=60.0,
        show_default=True,
        help="Seconds that a server which has answered may be away or overloaded.",
    ),
)

_START = (
    click.option("--start-note", type=int, metavar="P", help="Begin with this pitch; 60 is C4."),
    click.option("--start-chord", type=NUMBERS, metavar="P,P,…", help="Begin with these pitches."),
    click.option("--start-random", is_flag=True, help="Begin after random frames."),
    click.option("--primer", type=FILE, help="Continue this MIDI file."),
)

_DRAWING = (
    click.option("--steps", type=int, default=300, show_default=True, help="Frames to compose."),
    click.option(
        "--temperature",
        type=float,
        help="1 is the model's own distribution, lower is safer, 0 always the likeliest frame. "
        "Without --temperature, --top-k and --top-p all three are what the model recommends.",
    ),
    click.option("--top-k", type=int, help="Draw among the K likeliest frames only."),
    click.option(
        "--top-p",
        type=float,
        help="Draw among the likeliest frames that hold this share; 1 for all.",
    ),
    click.option("--max-repeats", type=int, help="A frame sounds at most so many frames in a row."),
    click.option("--max-rests", type=int, help="At most so many rests come in a row."),
    click.option(
        "--count", type=int, default=1, show_default=True, help="Songs, composed together."
    ),
    click.option("--seed", type=int, help="Same seed, same model, same song."),
    click.option(
        "--loop",
        type=click.Choice(["client", "server"]),
        default="client",
        show_default=True,
        help="server: the model draws the whole song in one call, with its own random numbers.",
    ),
    click.option(
        "--speculate",
        type=int,
        metavar="N",
        help="Guess N frames ahead in each call; 0 for none.  [default: as many as pay]",
    ),
)

_PLAYING = (
    click.option(
        "--program", type=NUMBERS, help="General MIDI program; two or three by voice: 73,0,32."
    ),
    click.option("--velocity", type=NUMBERS, help="Of every note; two or three by voice."),
    click.option("--tempo", type=float, help="Beats a minute, which place the bar lines."),
    click.option("--play-fps", type=float, help="Frames per second of what is written."),
)

_OUTPUTS = (
    click.option(
        "--out", type=FILE, default=Path("song.mid"), show_default=True, help="MIDI file to write."
    ),
    click.option("--png", type=FILE, help="Also draw the piano roll."),
    click.option("--html", type=FILE, help="Also write a page that plays it."),
    click.option("--wav", type=FILE, help="Also render the sound, with a General MIDI soundfont."),
)


def _options(command: Any) -> Any:
    return add_options(command, [*_SERVER, *_START, *_DRAWING, *_PLAYING, *_OUTPUTS])


@click.command("generate")
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
    """Compose songs and write them as MIDI; several get numbered names.

    Ctrl-C leaves what was composed so far. A song that is silent, or rests or dwells on one frame
    more than songs of the corpus do, is written, told, and makes the exit code 4.
    """
    if server and model_dir:
        raise click.UsageError("give --server or --model-dir, not both")
    outputs = {kind: path for kind in _WRITERS if (path := options.pop(kind)) is not None}
    for path in outputs.values():
        if not path.parent.is_dir():
            raise click.UsageError(f"there is no folder {path.parent} to write {path.name} to")
    playing = _playing(options)
    reached = _reached(options)
    with (
        _address(server, model_dir, model_name) as address,
        _composer(address, model_name, **reached) as composer,
    ):
        if loop == "server":
            songs = composer.generate_many(count, steps, loop="server", **options)
            _write(songs, outputs, playing)
        else:
            progress = composer.begin(count, steps, **options)
            songs = _compose_and_write(progress, steps, outputs, playing)
    if warn_of_degenerate(songs, _numbered_paths(outputs["out"], len(songs))):
        raise SystemExit(DEGENERATE)


def _compose_and_write(
    progress: SongsInProgress, steps: int, outputs: dict[str, Path], playing: dict[str, Any]
) -> list[Song]:
    """Compose to the end, or to an error or Ctrl-C, and write what there is by then."""
    from tunesmith.client import ComposerError

    try:
        songs = _finished(progress, steps)
    except (ComposerError, KeyboardInterrupt) as stopped:
        songs = progress.songs()
        length = min(len(song.frames) for song in songs)
        if length > 0:
            _write(songs, outputs, playing)
        if isinstance(stopped, ComposerError):
            raise
        kept = f"after {length} of {steps} frames, which are written"
        when = kept if length else "before the first frame"
        how = "terminated" if isinstance(stopped, Terminated) else "interrupted"
        click.echo(f"tunesmith: {how} {when}", err=True)
        raise SystemExit(exit_code(stopped)) from None
    _write(songs, outputs, playing)
    return songs


def _finished(progress: SongsInProgress, steps: int) -> list[Song]:
    """Compose to the end, showing how far it is."""
    count = len(progress.songs())
    title = "composing" if count == 1 else f"composing {count} songs"
    with ConsoleProgress().task(title, total=steps) as task:
        return progress.finish(task.update)


def compose(address: str, model_name: str, count: int, steps: int, **options: Any) -> list[Song]:
    """Return `count` songs from the server at `address`, showing how far they are."""
    with _composer(address, model_name) as composer:
        return _finished(composer.begin(count, steps, **options), steps)


def _write(songs: Sequence[Song], outputs: dict[str, Path], playing: dict[str, Any]) -> None:
    paths = {kind: _numbered_paths(path, len(songs)) for kind, path in outputs.items()}
    for index, song in enumerate(songs):
        played = song.played(**playing)
        for kind, each in paths.items():
            getattr(played, _WRITERS[kind])(each[index])
        name = paths["out"][index]
        click.echo(f"{name}: {played.summary()}, seed {song.seed}, version {song.model_version}")


def _numbered_paths(path: Path, count: int) -> list[Path]:
    """Return song.mid alone, or song-01.mid to song-10.mid of ten."""
    if count == 1:
        return [path]
    digits = len(str(count))
    return [path.with_stem(f"{path.stem}-{number:0{digits}}") for number in range(1, count + 1)]


def _playing(options: dict[str, Any]) -> dict[str, Any]:
    """Take from `options` how the songs are to be played, where that is said."""
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
    # A mistake is told before songs are composed, not after.
    Song((), 5.0).played(**given)
    return given


def _reached(options: dict[str, Any]) -> dict[str, Any]:
    """Take from `options` how the server is reached, as arguments of a composer."""
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
