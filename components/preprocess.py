"""ExampleGen and Transform in one Beam job, for users who need only the records."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam

from tunesmith.components.artifacts import Sequences
from tunesmith.components.beam_jobs.running import JobCounters
from tunesmith.components.example_gen.executor import run_reading_job, shard_counts
from tunesmith.components.example_gen.reading import Reading
from tunesmith.components.transform.component import TransformParameters
from tunesmith.components.transform.executor import encode_songs, finish
from tunesmith.components.transform.song_tokens import TokenSettings


def run_preprocess(reading: Reading, output: Path, parameters: TransformParameters) -> JobCounters:
    """Write examples, vocabulary, statistics, rejections and report into `output`, in one job.

    Args:
        reading: of :func:`tunesmith.components.example_gen.reading.start_reading`.
        output: the folder.
        parameters: of Transform.

    Raises:
        NoSongs: a split would be empty.
        ComponentError: the Beam job failed.
    """
    shards = shard_counts(len(reading.songs.files), reading.parameters)
    settings = TokenSettings.of(parameters, reading.parameters.corpus())

    def build(pipeline: beam.Pipeline, songs: dict[str, beam.PCollection]) -> None:
        del pipeline
        encode_songs(songs["songs"], output, settings, shards)

    counters = run_reading_job(reading, output, build)
    finish(output, Sequences(output, ""), shards)
    return counters
