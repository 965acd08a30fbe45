"""Transform's executor: a Beam job that counts the vocabulary and writes songs as tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import apache_beam as beam

from tunesmith.components.artifacts import Sequences
from tunesmith.components.beam_jobs.running import JobCounters, check_written, run_job
from tunesmith.components.component import Context
from tunesmith.components.errors import ComponentError
from tunesmith.components.records.shards import WriteShards, shard_names, shards_of, write_file
from tunesmith.components.transform.component import TransformInputs, TransformParameters
from tunesmith.components.transform.song_tokens import TokenSettings
from tunesmith.components.transform.statistics_report import write_report
from tunesmith.components.transform.transforms import STATISTICS, EncodeSequences


def execute(inputs: TransformInputs, parameters: TransformParameters, context: Context) -> None:
    """Write an ``Examples`` artifact; see :func:`run_transform`."""
    with context.progress.task("counting the vocabulary and encoding the songs"):
        known: tuple[str, ...] = ()
        if inputs.parent is not None:
            known = _tokens_of(inputs.parent.path, parameters.encoding, inputs.sequences)
        run_transform(inputs.sequences, context.output, parameters, context.beam_options, known)


def _tokens_of(parent: Path, encoding: str, sequences: Sequences) -> tuple[str, ...]:
    """Return the names of a parent model's tokens.

    Raises:
        ComponentError: it cannot be fine-tuned, or the songs have another encoding or grid.
    """
    # Reading a parent imports TensorFlow, which Transform does not need otherwise.
    from tunesmith.components.parent.predictor import load_parent

    vocabulary = load_parent(parent).vocabulary
    if encoding != vocabulary.corpus.encoding:
        raise ComponentError(
            f"transform.encoding must be {vocabulary.corpus.encoding}, as in the parent {parent}, "
            f"not {encoding}"
        )
    own = vocabulary.corpus.grid
    songs = replace(sequences.corpus().grid, keep_onsets=own.keep_onsets)
    if own.frames_per_beat:
        # The parent has the mean speed of its songs.
        songs = replace(songs, frames_per_second=own.frames_per_second)
    if own != songs:
        raise ComponentError(
            f"the songs have the grid {songs}, but the parent {parent} has {own}: execute "
            "ExampleGen again with the grid of the parent"
        )
    return vocabulary.names


def run_transform(
    sequences: Sequences,
    output: Path,
    parameters: TransformParameters,
    beam_options: Sequence[str],
    known: tuple[str, ...] = (),
) -> JobCounters:
    """Write an ``Examples`` artifact into the folder `output`.

    Args:
        sequences: the songs.
        output: the folder.
        parameters: of Transform.
        beam_options: passed to Beam.
        known: names of the tokens of a parent model, which come first.

    Raises:
        ComponentError: the Beam job failed.
    """
    songs: dict[str, int] = sequences.summary()["songs"]
    settings = replace(TokenSettings.of(parameters, sequences.corpus()), known=known)

    def build(pipeline: beam.Pipeline) -> None:
        read = [
            pipeline
            | f"Read-{split}" >> beam.io.ReadFromTFRecord(f"{sequences.path}/{split}-*.tfrecord")
            | f"Name-{split}" >> beam.Map(lambda record, split: (split, record), split)
            for split in songs
        ]
        encode_songs(read | beam.Flatten(), output, settings, shards_of(songs))

    counters = run_job(build, beam_options)
    finish(output, sequences, shards_of(songs))
    return counters


def finish(examples: Path, sequences: Sequences, shards: Mapping[str, int]) -> None:
    """Check that all files exist, and write the report."""
    check_written(examples, (*shard_names(shards), "vocabulary.json", f"{STATISTICS}.json"))
    statistics = json.loads((examples / f"{STATISTICS}.json").read_text("utf-8"))
    rejected = sequences.path / "rejected.jsonl"
    write_report(statistics, sequences.summary(), rejected, examples / "report.html")


def encode_songs(
    songs: beam.PCollection,
    output: Path,
    settings: TokenSettings,
    shards: Mapping[str, int],
) -> None:
    """Add the steps that write songs, vocabulary and statistics to a pipeline."""
    encoded = songs | "Examples" >> EncodeSequences(settings, shards)
    _ = encoded["records"] | "Records" >> WriteShards(str(output), shards)
    for name in ("vocabulary", STATISTICS):
        _ = encoded[name] | f"Write-{name}" >> beam.Map(_write_text, str(output / f"{name}.json"))


def _write_text(text: str, path: str) -> None:
    write_file(path, text.encode())
