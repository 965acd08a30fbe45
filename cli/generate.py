"""``tunesmith generate``: ask a server for songs and write them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tunesmith.cli.console import ConsoleProgress
from tunesmith.cli.options import FILE, FOLDER

if TYPE_CHECKING:
    from tunesmith.client import Song

DEFAULT_SERVER = "localhost:8500"


@click.command("generate")
@click.option("--server", metavar="HOST:PORT", help=f"Who is asked.  [default: {DEFAULT_SERVER}]")
@click.option(
    "--model-dir", type=FOLDER, help="Serve this model for the duration, instead of --server."
)
@click.option("--model-name", default="tunesmith", show_default=True, help="Name on the server.")
@click.option("--steps", type=int, default=300, show_default=True, help="Frames to compose.")
@click.option("--start-note", type=int, metavar="P", help="Begin with this MIDI pitch; 60 is C4.")
@click.option("--start-random", is_flag=True, help="Begin after random frames.")
@click.option("--primer", type=FILE, help="Continue this MIDI file.")
@click.option(
    "--temperature",
    type=float,
    default=1.0,
    show_default=True,
    help="1 is the model's own taste, lower is safer, 0 always the likeliest frame.",
)
@click.option("--top-k", type=int, help="Draw among the K likeliest frames only.")
@click.option("--top-p", type=float, help="Draw among the likeliest frames that hold this share.")
@click.option("--count", type=int, default=1, show_default=True, help="Songs, composed together.")
@click.option("--seed", type=int, help="Same seed, same model, same song.")
@click.option(
    "--out", type=FILE, default=Path("song.mid"), show_default=True, help="MIDI file to write."
)
@click.option("--png", type=FILE, help="Also draw the piano roll.")
@click.option("--wav", type=FILE, help="Also render the sound, with a General MIDI soundfont.")
def command(
    server: str | None, model_dir: Path | None, model_name: str, count: int, **options: Any
) -> None:
    """Compose songs and write them as MIDI; several get numbered names."""
    if server and model_dir:
        raise click.UsageError("give --server or --model-dir, not both")
    outputs = {kind: options.pop(kind) for kind in ("out", "png", "wav")}
    for path in filter(None, outputs.values()):
        if not path.parent.is_dir():
            raise click.UsageError(f"there is no folder {path.parent} to write {path.name} to")
    with _address(server, model_dir, model_name) as address:
        songs = compose(address, model_name, count, **options)
    for number, song in enumerate(songs, 1):
        name = _numbered(outputs["out"], number, count)
        song.write(name)
        if outputs["png"]:
            song.write_picture(_numbered(outputs["png"], number, count))
        if outputs["wav"]:
            song.write_sound(_numbered(outputs["wav"], number, count))
        click.echo(f"{name}: {song.summary()}, seed {song.seed}, version {song.model_version}")


@contextmanager
def _address(server: str | None, model_dir: Path | None, model_name: str) -> Iterator[str]:
    if model_dir is None:
        yield server or DEFAULT_SERVER
        return
    from tunesmith.serving import EmbeddedServer, ServerOptions

    with EmbeddedServer(model_dir, ServerOptions(model_name=model_name, port=0)) as embedded:
        yield embedded.address


def compose(address: str, model_name: str, count: int, steps: int, **options: Any) -> list[Song]:
    """Return `count` songs from the server at `address`, showing how far they are."""
    from tunesmith.client import Composer

    title = "composing" if count == 1 else f"composing {count} songs"
    with (
        Composer(address, model=model_name) as composer,
        ConsoleProgress().task(title, total=steps) as task,
    ):
        return composer.generate_many(count, steps, progress=task.update, **options)


def _numbered(path: Path, number: int, count: int) -> Path:
    """Return song.mid, or song-07.mid for the seventh of ten."""
    if count == 1:
        return path
    return path.with_stem(f"{path.stem}-{number:0{len(str(count))}}")
