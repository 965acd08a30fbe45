"""``tunesmith demo``: the whole pipeline on a bundled corpus, from MIDI files to a song."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunesmith.cli.console import ConsoleProgress
from tunesmith.cli.degenerate_songs import warn_of_degenerate
from tunesmith.cli.generate import compose
from tunesmith.cli.options import FOLDER
from tunesmith.cli.run import run_and_report

if TYPE_CHECKING:
    from tunesmith.client import Song
    from tunesmith.pipeline.configuration import Settings

TRAINING_SECONDS = 110.0
"""Training time with which the whole demo takes under five minutes on two cores."""

SAMPLES = 3
"""Number of songs in the report; the first is song.mid."""


@click.command("demo")
@click.option(
    "--dir",
    "folder",
    type=FOLDER,
    default=Path("demo"),
    show_default=True,
    help="Working folder; all files are written there.",
)
@click.option(
    "--seconds",
    type=float,
    default=TRAINING_SECONDS,
    show_default=True,
    help="Training time in seconds; more makes better music.",
)
@click.option(
    "--steps", type=int, default=300, show_default=True, help="Length of each song, in frames."
)
@click.option(
    "--seed",
    type=int,
    default=7,
    show_default=True,
    help="Random seed of training and of the songs.",
)
def command(folder: Path, seconds: float, steps: int, seed: int) -> None:
    """Train a model on Bach's chorales, serve it, and compose a song with it.

    Extracts melody and bass of the chorales from the music21 package, runs the pipeline, serves the
    model, requests songs over gRPC, and writes song.mid, song.png and report.html.
    """
    from tunesmith.cli.derived_options import usage_errors
    from tunesmith.cli.shown_songs import shown_song
    from tunesmith.components.pusher.component import PUSHER
    from tunesmith.components.sources.chorales import write_chorales
    from tunesmith.pipeline.configuration import pipeline_config
    from tunesmith.pipeline.configuration_file import configuration_text
    from tunesmith.pipeline.report import write_report

    started = time.monotonic()
    progress = ConsoleProgress()
    corpus = folder / "midi"
    if not corpus.is_dir():
        count = write_chorales(corpus, progress)
        progress.say(f"{count} chorales by J. S. Bach -> {corpus}")
    settings = _settings(corpus, folder, seconds, steps, seed)
    with usage_errors():
        config, text = pipeline_config(settings), configuration_text(settings)
    result = run_and_report(config, progress, config_text=text)
    # The run had all components, Pusher among them, so it published a version.
    pushed = result.of(PUSHER).path
    songs = _serve_and_compose(pushed.parent, steps, seed)
    songs[0].write(folder / "song.mid")
    songs[0].write_picture(folder / "song.png")
    warn_of_degenerate(songs[:1], [folder / "song.mid"])
    write_report(folder, [shown_song(song) for song in songs])
    _say_what_was_made(folder, pushed, songs[0], time.monotonic() - started)


def _settings(corpus: Path, folder: Path, seconds: float, steps: int, seed: int) -> Settings:
    from tunesmith.components.sources.chorales import FRAMES_PER_SECOND
    from tunesmith.pipeline.configuration import Setting

    chosen = {
        "midi_dir": corpus.absolute(),
        "root": folder.absolute(),
        "example_gen.track": "all",
        "example_gen.grid.frames_per_second": FRAMES_PER_SECOND,
        # Half the paper's units and no regularisation: in two minutes a model does not overfit.
        "trainer.architecture.units": 64,
        "trainer.regularisation.keys": "none",
        "trainer.regularisation.noise": 0.0,
        "trainer.maximum_seconds": seconds,
        "trainer.seed": seed,
        "evaluator.songs": 4,
        "evaluator.steps": steps,
    }
    return {key: Setting(value, "tunesmith demo", key) for key, value in chosen.items()}


def _serve_and_compose(model_dir: Path, steps: int, seed: int) -> list[Song]:
    from tunesmith.serving import EmbeddedServer, ServerOptions

    with EmbeddedServer(model_dir, ServerOptions(model_name=model_dir.name, port=0)) as server:
        return compose(server.address, model_dir.name, SAMPLES, steps=steps, seed=seed)


def _say_what_was_made(folder: Path, pushed: Path, song: Song, seconds: float) -> None:
    model_dir = pushed.parent
    for line in (
        "",
        f"Done in {seconds:.0f} s. Files:",
        f"  {folder / 'song.mid'}     {song.summary()}",
        f"  {folder / 'song.png'}     its piano roll",
        f"  {folder / 'report.html'}  losses, vocabulary, {SAMPLES} songs to hear",
        f"  {pushed}  the model, as TensorFlow Serving loads it",
        "Try next:",
        f"  tunesmith generate --model-dir {model_dir} --start-note 67 --out another.mid",
        f"  tunesmith serve --model-dir {model_dir}",
    ):
        click.echo(line)
