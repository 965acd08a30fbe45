"""``tunesmith demo``: the whole way on an embedded corpus, from MIDI to a song."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunesmith.cli.console import ConsoleProgress
from tunesmith.cli.generate import compose
from tunesmith.cli.options import FOLDER
from tunesmith.cli.run import run_and_report

if TYPE_CHECKING:
    from tunesmith.client import Song
    from tunesmith.pipeline.dag import PipelineConfig, PipelineResult

TRAINING_SECONDS = 110.0
"""What two cores can spare for it when everything takes under five minutes."""

SAMPLES = 3
"""Songs in the report; the first is song.mid."""


@click.command("demo")
@click.option(
    "--dir", "folder", type=FOLDER, default=Path("demo"), show_default=True, help="Where it works."
)
@click.option(
    "--seconds",
    type=float,
    default=TRAINING_SECONDS,
    show_default=True,
    help="Time for training; more makes better music.",
)
@click.option("--steps", type=int, default=300, show_default=True, help="Frames of a song.")
@click.option("--seed", type=int, default=7, show_default=True, help="Of training and the songs.")
def command(folder: Path, seconds: float, steps: int, seed: int) -> None:
    """Learn from Bach's chorales, serve what was learned, and compose a song with it.

    Takes melody and bass of the chorales out of the music21 package, runs the pipeline, starts a
    server, asks it over gRPC, and leaves song.mid, song.png, report.html and the model.
    """
    from tunesmith.components.sources.chorales import write_chorales
    from tunesmith.pipeline.report import ReportedSong, write_report

    started = time.monotonic()
    progress = ConsoleProgress()
    corpus = folder / "midi"
    if not corpus.is_dir():
        count = write_chorales(corpus, progress)
        progress.say(f"{count} chorales by J. S. Bach -> {corpus}")
    result = run_and_report(_config(corpus, folder, seconds, steps, seed), progress)
    songs = _serve_and_compose(result, steps, seed)
    songs[0].write(folder / "song.mid")
    songs[0].write_picture(folder / "song.png")
    write_report(folder / "report.html", folder, [ReportedSong.of(song) for song in songs])
    _say_what_was_made(folder, result, songs[0], time.monotonic() - started)


def _config(corpus: Path, folder: Path, seconds: float, steps: int, seed: int) -> PipelineConfig:
    from tunesmith.components.evaluator.blessing import BlessingParameters
    from tunesmith.components.evaluator.executor import EvaluatorParameters
    from tunesmith.components.example_gen.song_files import ExampleGenParameters
    from tunesmith.components.networks.paper.keras_model import Architecture
    from tunesmith.components.sources.chorales import FRAMES_PER_SECOND
    from tunesmith.components.trainer.executor import TrainerParameters
    from tunesmith.components.transform.song_tokens import TransformParameters
    from tunesmith.music import Grid
    from tunesmith.pipeline.dag import PipelineConfig

    grid = Grid(FRAMES_PER_SECOND)
    return PipelineConfig(
        corpus,
        folder,
        ExampleGenParameters(track="all", grid=grid),
        TransformParameters(track="all", grid=grid),
        TrainerParameters(
            # Half the paper's width and three times its learning rate: two minutes are short.
            architecture=Architecture(units=64),
            learning_rate=0.003,
            maximum_seconds=seconds,
            seed=seed,
        ),
        # In two minutes a network does not learn as much as a 5-gram counts in one second. Blessed
        # is what beats the others; the report tells by how much it falls short of that one.
        evaluator=EvaluatorParameters(
            BlessingParameters(beat=("unigram", "repeat")), songs=4, steps=steps
        ),
    )


def _serve_and_compose(result: PipelineResult, steps: int, seed: int) -> list[Song]:
    from tunesmith.serving import EmbeddedServer, ServerOptions

    model_dir = result.pushed.path.parent
    with EmbeddedServer(model_dir, ServerOptions(model_name=model_dir.name, port=0)) as server:
        return compose(server.address, model_dir.name, SAMPLES, steps=steps, seed=seed)


def _say_what_was_made(folder: Path, result: PipelineResult, song: Song, seconds: float) -> None:
    model_dir = result.pushed.path.parent
    for line in (
        "",
        f"Done in {seconds:.0f} s. This was made:",
        f"  {folder / 'song.mid'}     {song.summary()}",
        f"  {folder / 'song.png'}     its piano roll",
        f"  {folder / 'report.html'}  losses, vocabulary, {SAMPLES} songs to hear",
        f"  {result.pushed.path}  the model, as TensorFlow Serving loads it",
        "Try next:",
        f"  tunesmith generate --model-dir {model_dir} --start-note 67 --out another.mid",
        f"  tunesmith serve --model-dir {model_dir}",
    ):
        click.echo(line)
