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
    """Return the names of a model's tokens.

    Raises:
        ComponentError: it is no model to be tuned, or the songs' frames are not like its own.
    """
    # TensorFlow reads it, which no other songs need.
    from tunesmith.components.parent.predictor import load_parent

    vocabulary = load_parent(parent).vocabulary
    if encoding != vocabulary.corpus.encoding:
        raise ComponentError(
            f"{parent} has the encoding {vocabulary.corpus.encoding}, not {encoding}: give "
            "Transform that one"
        )
    own = vocabulary.corpus.grid
    songs = replace(sequences.corpus().grid, keep_onsets=own.keep_onsets)
    if own.frames_per_beat:
        # It says how fast its songs are in the mean.
        songs = replace(songs, frames_per_second=own.frames_per_second)
    if own != songs:
        raise ComponentError(
            f"the songs were read with another grid ({songs}) than those of {parent} ({own}): "
            "read them again with that one"
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
        output: where to.
        parameters: how frames become tokens.
        beam_options: for Beam, untouched.
        known: names of the first tokens, of a model that is tuned.

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
    """See that all is there, and write the report of it."""
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
