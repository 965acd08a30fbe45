"""The Beam jobs: which transforms run in one pipeline, and which files they leave.

``ExampleGen`` and ``Transform`` run as two jobs in a pipeline, so that another vocabulary does not
read the MIDI again; ``preprocess`` runs both in one job.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions

from tunesmith.components.artifacts import Sequences
from tunesmith.components.encoding import TransformParameters
from tunesmith.components.errors import ComponentError
from tunesmith.components.example_gen import COUNTERS, REPORT, ReadSequences, TakeSongs
from tunesmith.components.job_report import WriteReport, check_usable, read_summary
from tunesmith.components.listing import MidiFiles
from tunesmith.components.reading import Reading, start_reading
from tunesmith.components.records import read_frames
from tunesmith.components.sinks import WriteShards, shard_names, shard_of, shards_of, write_file
from tunesmith.components.song_files import ExampleGenParameters
from tunesmith.components.statistics_report import write_report
from tunesmith.components.transform import STATISTICS, EncodeSequences

LISTED_IN_THE_GRAPH = 10_000
"""Files up to which a job's graph holds their names; runners bound its size. Of more it holds the
name of a file that lists them."""

_LISTING = ".files"

JobCounters = dict[str, int]
"""The Beam metrics of a job by name; empty where the runner keeps none."""


def run_example_gen(
    files: MidiFiles, output: Path, parameters: ExampleGenParameters, beam_options: Sequence[str]
) -> JobCounters:
    """Write a :class:`Sequences` artifact of the listed files into the folder `output`.

    Raises:
        NoSongs: a split would be empty.
        ComponentError: the Beam job failed.
    """
    shards = _shards(len(files), parameters)

    def build(pipeline: beam.Pipeline, songs: dict[str, beam.PCollection]) -> None:
        del pipeline
        keyed = songs["songs"] | "Key" >> beam.Map(_key, shards)
        _ = keyed | "Records" >> WriteShards(str(output), shards)

    with start_reading(files, parameters, beam_options) as reading:
        counters = _run_reading_job(reading, output, build)
    _check_written(output, shard_names(shards))
    return counters


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
    songs: dict[str, int] = read_summary(sequences.path)["songs"]

    def build(pipeline: beam.Pipeline) -> None:
        read = [
            pipeline
            | f"Read-{split}" >> beam.io.ReadFromTFRecord(f"{sequences.path}/{split}-*.tfrecord")
            | f"Name-{split}" >> beam.Map(lambda record, split: (split, record), split)
            for split in songs
        ]
        _encode(read | beam.Flatten(), output, parameters, shards_of(songs))

    counters = _run(build, beam_options)
    _finish(output, sequences.path, shards_of(songs))
    return counters


def run_preprocess(reading: Reading, output: Path, parameters: TransformParameters) -> JobCounters:
    """Write examples, vocabulary, statistics, rejections and report into `output`, in one job.

    Args:
        reading: of :func:`tunesmith.components.reading.start_reading`.
        output: the folder.
        parameters: of Transform.

    Raises:
        NoSongs: a split would be empty.
        ComponentError: the Beam job failed.
    """
    shards = _shards(len(reading.files), reading.parameters)

    def build(pipeline: beam.Pipeline, songs: dict[str, beam.PCollection]) -> None:
        del pipeline
        _encode(songs["songs"], output, parameters, shards)

    counters = _run_reading_job(reading, output, build)
    _finish(output, output, shards)
    return counters


def _finish(examples: Path, sequences: Path, shards: Mapping[str, int]) -> None:
    """See that all is there, and write the report of it."""
    _check_written(examples, (*shard_names(shards), "vocabulary.json", f"{STATISTICS}.json"))
    statistics = json.loads((examples / f"{STATISTICS}.json").read_text("utf-8"))
    rejected = sequences / "rejected.jsonl"
    write_report(statistics, read_summary(sequences), rejected, examples / "report.html")


def _shards(files: int, parameters: ExampleGenParameters) -> dict[str, int]:
    shares = {"eval": parameters.eval_fraction, "test": parameters.test_fraction}
    return shards_of({split: files * shares.get(split, 1.0) for split in parameters.splits})


def _run_reading_job(
    reading: Reading,
    output: Path,
    build: Callable[[beam.Pipeline, dict[str, beam.PCollection]], None],
) -> JobCounters:
    parameters, ahead = reading.parameters, reading.ahead
    name = uuid.uuid4().hex

    def build_all(pipeline: beam.Pipeline) -> None:
        if ahead is not None:
            files = pipeline | "Files" >> beam.Create([name])
        elif len(reading.files) <= LISTED_IN_THE_GRAPH:
            files = pipeline | "Files" >> beam.Create(reading.files)
        else:
            listing = pipeline | "Listing" >> beam.Create([str(_write_listing(reading, output))])
            files = listing | "Files" >> beam.FlatMap(_read_listing)
        songs = files | "Sequences" >> ReadSequences(parameters, ahead is not None)
        _ = songs[REPORT] | "Outcome" >> WriteReport(str(output), parameters.splits)
        build(pipeline, songs)

    try:
        if ahead is not None:
            TakeSongs.running[name] = ahead
        counters = _run(build_all, reading.beam_options)
    finally:
        TakeSongs.running.pop(name, None)
        (output / _LISTING).unlink(missing_ok=True)
    _check_written(output, ("rejected.jsonl", "summary.json"))
    check_usable(output)
    return counters


def _write_listing(reading: Reading, output: Path) -> Path:
    path = output / _LISTING
    path.write_bytes(b"\0".join(part for file in reading.files for part in file))
    return path


def _read_listing(path: str) -> Iterator[tuple[bytes, bytes]]:
    with FileSystems.open(path, "application/octet-stream") as file:
        parts = file.read().split(b"\0")
    yield from zip(parts[::2], parts[1::2], strict=True)


def _check_written(output: Path, names: Iterable[str]) -> None:
    for name in names:
        if not (output / name).is_file():
            raise ComponentError(
                f"the workers did not write {name} into {output}: name folders that every worker "
                "sees under the same path"
            )


def _run(build: Callable[[beam.Pipeline], None], options: Sequence[str]) -> JobCounters:
    # A failing job is told in one line, by the error below; Beam would log its whole stack first.
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    try:
        pipeline = beam.Pipeline(options=PipelineOptions(list(options)))
        build(pipeline)
        result = pipeline.run()
        state = result.wait_until_finish() or result.state
    except Exception as error:
        # Beam rethrows whatever a worker raised, with the worker's stack in the message.
        last = str(error).strip().splitlines()[-1] if str(error).strip() else repr(error)
        raise ComponentError(f"the Beam job failed: {last}") from error
    if state not in (None, beam.runners.runner.PipelineState.DONE):
        raise ComponentError(f"the Beam job ended as {state}: see the runner's own log")
    return _counters(result)


def _counters(result: Any) -> JobCounters:
    try:
        found = result.metrics().query(MetricsFilter().with_namespace(COUNTERS))["counters"]
    except NotImplementedError:
        return {}
    counters: JobCounters = {}
    for each in found:
        name = each.key.metric.name
        counters[name] = counters.get(name, 0) + (each.result or 0)
    return dict(sorted(counters.items()))


def _key(element: tuple[str, bytes], shards: Mapping[str, int]) -> Any:
    split, record = element
    song_id = read_frames(record).song_id
    return (split, shard_of(song_id, shards[split])), (song_id, record)


def _encode(
    songs: beam.PCollection,
    output: Path,
    parameters: TransformParameters,
    shards: Mapping[str, int],
) -> None:
    encoded = songs | "Examples" >> EncodeSequences(parameters, shards)
    _ = encoded["records"] | "Records" >> WriteShards(str(output), shards)
    for name in ("vocabulary", STATISTICS):
        _ = encoded[name] | f"Write-{name}" >> beam.Map(_write_text, str(output / f"{name}.json"))


def _write_text(text: str, path: str) -> None:
    write_file(path, text.encode())
