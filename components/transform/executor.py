"""Transform's executor: a Beam job that counts the vocabulary and writes songs as tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import apache_beam as beam

from tunesmith.components.artifacts import Sequences
from tunesmith.components.beam_jobs.running import JobCounters, check_written, run_job
from tunesmith.components.component import Context
from tunesmith.components.records.shards import WriteShards, shard_names, shards_of, write_file
from tunesmith.components.transform.component import TransformInputs, TransformParameters
from tunesmith.components.transform.song_tokens import TokenSettings
from tunesmith.components.transform.statistics_report import write_report
from tunesmith.components.transform.transforms import STATISTICS, EncodeSequences


def execute(inputs: TransformInputs, parameters: TransformParameters, context: Context) -> None:
    """Write an :class:`Examples` artifact; see :func:`run_transform`."""
    with context.progress.task("counting the vocabulary and encoding the songs"):
        run_transform(inputs.sequences, context.output, parameters, context.beam_options)


def run_transform(
    sequences: Sequences,
    output: Path,
    parameters: TransformParameters,
    beam_options: Sequence[str],
) -> JobCounters:
    """Write an :class:`Examples` artifact into the folder `output`.

    Raises:
        ComponentError: the Beam job failed.
    """
    songs: dict[str, int] = sequences.summary()["songs"]
    settings = TokenSettings.of(parameters, sequences.corpus())

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
