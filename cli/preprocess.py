"""``tunesmith preprocess``: the Beam job alone."""

from __future__ import annotations

import gc
import re
from pathlib import Path
from typing import Any

import click

from tunesmith.cli.console import ConsoleProgress
from tunesmith.cli.options import (
    BEAM_OPTIONS,
    FOLDER,
    MIDI_DIR,
    check_beam_options,
    reading_options,
    usage_errors,
)


@click.command("preprocess")
@MIDI_DIR
@click.option("--output", type=FOLDER, required=True, help="Folder for the records.")
@reading_options
@BEAM_OPTIONS
def command(midi_dir: Path, output: Path, beam_options: tuple[str, ...], **reading: Any) -> None:
    """Turn MIDI files into records of tokens and a vocabulary, on any Beam runner.

    Leaves train-*.tfrecord, eval-*.tfrecord (and test-*.tfrecord), vocabulary.json,
    statistics.json, summary.json, rejected.jsonl and report.html. What follows a -- goes to Beam
    untouched.
    """
    from tunesmith.components.errors import OutputInTheWay
    from tunesmith.components.example_gen.reading import start_reading
    from tunesmith.components.publishing import staged_directory
    from tunesmith.components.sources.midi_folder import list_midi_files

    # A worker may have another working directory than this process.
    output = check_local("--output", output).absolute()
    check_local("--midi-dir", midi_dir)
    example_gen, transform = reading_parameters(**reading)
    beam = check_beam_options(beam_options)
    files = list_midi_files(midi_dir)
    if output.exists() and any(output.iterdir()) and not (output / "vocabulary.json").is_file():
        raise OutputInTheWay(
            f"{output} holds something else than preprocessed songs: name another --output"
        )
    progress = ConsoleProgress()
    with (
        staged_directory(output, replace=True) as staging,
        progress.task(f"preprocessing {len(files)} MIDI files"),
        start_reading(files, example_gen, beam, transform.keys) as songs,
    ):
        # Importing Beam takes seconds, in which the files are read already. What it makes stays to
        # the end, so there is no garbage to look for, then or later.
        gc.disable()
        from tunesmith.components.preprocess import run_preprocess

        gc.freeze()
        gc.enable()
        counters = run_preprocess(songs, staging, transform)
    for line in describe_songs(output, output):
        progress.say(line)
    if counters:
        counted = ", ".join(f"{name} {count}" for name, count in counters.items())
        progress.say(f"Beam's counters: {counted}")
    progress.say(f"records and vocabulary are in {output}; {output / 'report.html'} draws them")


def reading_parameters(**options: Any) -> tuple[Any, Any]:
    """Return (ExampleGenParameters, TransformParameters) of the shared reading options."""
    from tunesmith.components.example_gen.song_files import ExampleGenParameters
    from tunesmith.components.transform.song_tokens import TransformParameters
    from tunesmith.music import Grid

    with usage_errors():
        lowest, highest = options["pitch_range"]
        grid = Grid(
            options["fps"],
            options["frames_per_beat"],
            options["keep_short_notes"],
            lowest,
            highest,
        )
        return (
            ExampleGenParameters(
                track=options["track"],
                grid=grid,
                minimum_frames=options["min_frames"],
                eval_fraction=options["eval_fraction"],
                test_fraction=options["test_fraction"],
            ),
            TransformParameters(
                track=options["track"],
                grid=grid,
                transpose=options["transpose"],
                maximum_frames=options["max_vocabulary"],
                minimum_count=options["min_count"],
            ),
        )


def check_local(option: str, path: Path) -> Path:
    """Return `path`.

    Raises:
        click.UsageError: it looks like an address.
    """
    if re.match(r"[A-Za-z0-9+.-]{2,}:/", str(path)):
        raise click.UsageError(
            f"{option} {path} is an address: give a folder, such as where the bucket is mounted"
        )
    return path


_PURPOSES = {"train": "to learn from", "eval": "held out", "test": "to test with"}


def describe_songs(sequences: Path, examples: Path) -> list[str]:
    """Return what a person asks first, a line each: songs, rejections, frames, vocabulary."""
    from tunesmith.components.artifacts import Examples, Sequences

    summary = Sequences(sequences, "").summary()
    statistics = Examples(examples, "").statistics()
    splits = statistics["splits"]
    songs = summary["songs"]
    parts = [f"{songs[split]} {purpose}" for split, purpose in _PURPOSES.items() if split in songs]
    frames = " and ".join(str(split["frames"]) for split in splits.values())
    mapped = " and ".join(f"{split['mapped_share']:.1%}" for split in splits.values())
    lines = [
        f"{sum(songs.values())} songs: {', '.join(parts)}",
        f"{frames} frames; {statistics['distinct_sounding_frames']} distinct sounding ones to "
        f"learn from, vocabulary {statistics['vocabulary_size']} with the rest",
        f"mapped to the nearest known frame: {mapped}",
    ]
    if summary["rejected"]:
        reasons = ", ".join(f"{count} {reason}" for reason, count in summary["rejected"].items())
        lines.append(f"rejected: {reasons} (see {sequences / 'rejected.jsonl'})")
    return lines
