"""``tunesmith preprocess``: ExampleGen and Transform in one Beam job, without a pipeline."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tunesmith.cli.console import ConsoleProgress
from tunesmith.cli.derived_command import DerivedCommand
from tunesmith.cli.options import BEAM_OPTIONS, FOLDER, check_beam_options

if TYPE_CHECKING:
    from tunesmith.components.example_gen.component import ExampleGenParameters
    from tunesmith.components.transform.component import TransformParameters


def _derived() -> Sequence[click.Parameter]:
    from tunesmith.cli.derived_options import component_options, run_options

    reading = [*component_options("ExampleGen"), *component_options("Transform")]
    return [*run_options("midi_dir", "plugin_path"), *reading]


@click.command("preprocess", cls=DerivedCommand, derive=_derived)
@click.option("--output", type=FOLDER, required=True, help="Folder to write the records to.")
@BEAM_OPTIONS
@click.pass_context
def command(
    ctx: click.Context,
    /,
    output: Path,
    beam_options: tuple[str, ...],
    midi_dir: Path | None,
    **_: Any,
) -> None:
    """Convert MIDI files to TFRecords of tokens and a vocabulary, on any Beam runner.

    Writes train-*.tfrecord, eval-*.tfrecord (and test-*.tfrecord), vocabulary.json,
    statistics.json, summary.json, notes.json, rejected.jsonl and report.html. Options after -- are
    passed to Beam.
    """
    if midi_dir is None:
        raise click.UsageError("Missing option '--midi-dir'.")
    midi_dir, output, example_gen, transform = _configured(ctx, output)
    _preprocess(midi_dir, output, example_gen, transform, check_beam_options(beam_options))


def _configured(
    ctx: click.Context, output: Path
) -> tuple[Path, Path, ExampleGenParameters, TransformParameters]:
    """Return the folders, absolute, and the parameters of both components."""
    from tunesmith.cli.derived_options import given_settings, usage_errors
    from tunesmith.components.example_gen.component import EXAMPLE_GEN
    from tunesmith.components.transform.component import TRANSFORM
    from tunesmith.pipeline.configuration import component_parameters, local_path

    with usage_errors():
        # A worker may have another working directory than this process.
        folder = local_path("--output", output, Path())
        settings = given_settings(ctx)
        return (
            settings["midi_dir"].value,
            folder,
            component_parameters(EXAMPLE_GEN, settings),
            component_parameters(TRANSFORM, settings),
        )


def _preprocess(
    midi_dir: Path,
    output: Path,
    example_gen: ExampleGenParameters,
    transform: TransformParameters,
    beam_options: tuple[str, ...],
) -> None:
    from tunesmith.components.errors import OutputNotEmpty
    from tunesmith.components.example_gen.reading import start_reading
    from tunesmith.components.publishing import staged_directory
    from tunesmith.components.sources.source import list_songs

    songs = list_songs(midi_dir, example_gen.source)
    if output.exists() and any(output.iterdir()) and not (output / "vocabulary.json").is_file():
        raise OutputNotEmpty(
            "output", f"{output} holds files that are not preprocessed songs: choose another folder"
        )
    progress = ConsoleProgress()
    with (
        staged_directory(output, replace=True) as staging,
        progress.task(f"preprocessing {len(songs.files)} songs"),
        start_reading(songs, example_gen, beam_options, transform.keys) as reading,
    ):
        # Importing Beam takes seconds, in which other processes already read the files. Its objects
        # live until the process ends, so garbage collection would only cost time.
        gc.disable()
        from tunesmith.components.preprocess import run_preprocess

        gc.freeze()
        gc.enable()
        counters = run_preprocess(reading, staging, transform)
    for line in describe_songs(output, output):
        progress.say(line)
    if counters:
        counted = ", ".join(f"{name} {count}" for name, count in counters.items())
        progress.say(f"Beam counters: {counted}")
    progress.say(f"records and vocabulary: {output}; report: {output / 'report.html'}")


def describe_songs(sequences: Path, examples: Path) -> list[str]:
    """Return a summary of the songs, a line each: songs, frames, vocabulary, rejected files."""
    from tunesmith.components.artifacts import Examples, Sequences
    from tunesmith.music.note_counts import describe_notes

    summary = Sequences(sequences, "").summary()
    statistics = Examples(examples, "").statistics()
    splits = statistics["splits"]
    songs = summary["songs"]
    parts = [f"{songs[split]} {split}" for split in ("train", "eval", "test") if split in songs]
    frames = " and ".join(str(split["frames"]) for split in splits.values())
    mapped = " and ".join(f"{split['mapped_share']:.1%}" for split in splits.values())
    lines = [
        f"{sum(songs.values())} songs: {', '.join(parts)}",
        f"{frames} frames; {statistics['distinct_sounding_frames']} distinct sounding frames in "
        f"train, vocabulary of {statistics['vocabulary_size']} tokens",
        f"frames outside the vocabulary, mapped to the nearest token: {mapped}",
    ]
    if notes := Sequences(sequences, "").notes():
        lines.append(describe_notes(notes))
    if summary["rejected"]:
        reasons = ", ".join(f"{count} {reason}" for reason, count in summary["rejected"].items())
        lines.append(f"rejected: {reasons} (see {sequences / 'rejected.jsonl'})")
    return lines
