"""ExampleGen's executor: a Beam job that reads MIDI files and writes songs as frames."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

from tunesmith.components.beam_jobs.running import JobCounters, check_written, run_job
from tunesmith.components.component import Context
from tunesmith.components.example_gen.component import ExampleGenInputs, ExampleGenParameters
from tunesmith.components.example_gen.job_report import WriteReport, check_usable
from tunesmith.components.example_gen.reading import Reading, start_reading
from tunesmith.components.example_gen.transforms import REPORT, ReadSequences, TakeSongs
from tunesmith.components.records.shards import WriteShards, shard_names, shard_of, shards_of
from tunesmith.components.records.songs import read_frames
from tunesmith.components.sources.source import Files, ListedSongs, list_songs

LISTED_IN_THE_GRAPH = 10_000
"""Songs up to which a job's graph holds their names; runners bound its size. Of more it holds the
name of a file that lists them."""

SHARES_IN_ORDER = 16
"""Elements into which the songs of a source are divided that is quick only in its own order. Each
worker passes the whole source once an element at the most."""

_LISTING = ".files"


def execute(inputs: ExampleGenInputs, parameters: ExampleGenParameters, context: Context) -> None:
    """Write a ``Sequences`` artifact; see :func:`run_example_gen`."""
    # Those whose digests were taken, where they were.
    songs = inputs.midi.listed or list_songs(inputs.midi.path, parameters.source)
    with context.progress.task(f"reading {len(songs.files)} songs"):
        run_example_gen(songs, context.output, parameters, context.beam_options)


def run_example_gen(
    songs: ListedSongs, output: Path, parameters: ExampleGenParameters, beam_options: Sequence[str]
) -> JobCounters:
    """Write a ``Sequences`` artifact of the listed songs into the folder `output`.

    Raises:
        NoSongs: a split would be empty.
        ComponentError: the Beam job failed.
    """
    shards = shard_counts(len(songs.files), parameters)

    def build(pipeline: beam.Pipeline, read: dict[str, beam.PCollection]) -> None:
        del pipeline
        keyed = read["songs"] | "Key" >> beam.Map(_key, shards)
        _ = keyed | "Records" >> WriteShards(str(output), shards)

    with start_reading(songs, parameters, beam_options) as reading:
        counters = run_reading_job(reading, output, build)
    check_written(output, shard_names(shards))
    corpus = json.dumps(parameters.corpus().to_dict(), indent=2)
    (output / "corpus.json").write_text(corpus, "utf-8")
    source = {"name": songs.source.name, "path": songs.source.path}
    (output / "source.json").write_text(json.dumps(source, indent=2), "utf-8")
    return counters


def shard_counts(files: int, parameters: ExampleGenParameters) -> dict[str, int]:
    """Return how many shards each split gets."""
    shares = {"eval": parameters.eval_fraction, "test": parameters.test_fraction}
    return shards_of({split: files * shares.get(split, 1.0) for split in parameters.splits})


def run_reading_job(
    reading: Reading,
    output: Path,
    build: Callable[[beam.Pipeline, dict[str, beam.PCollection]], None],
) -> JobCounters:
    """Read the songs, write what became of the files, and hand the songs to `build`.

    Args:
        reading: how the songs are read.
        output: the folder of ``rejected.jsonl``, ``summary.json`` and ``notes.json``.
        build: adds the steps that take the songs.

    Raises:
        NoSongs: a split would be empty.
        ComponentError: the job failed.
    """
    parameters, ahead, listed = reading.parameters, reading.ahead, reading.songs
    name = uuid.uuid4().hex

    def build_all(pipeline: beam.Pipeline) -> None:
        if ahead is not None:
            files = pipeline | "Files" >> beam.Create([name])
        elif len(listed.files) <= LISTED_IN_THE_GRAPH:
            files = pipeline | "Files" >> beam.Create(_elements(listed))
        else:
            listing = pipeline | "Listing" >> beam.Create([str(_write_listing(listed, output))])
            files = listing | "Files" >> beam.FlatMap(_read_listing)
        songs = files | "Sequences" >> ReadSequences(parameters, listed.source, ahead is not None)
        _ = songs[REPORT] | "Outcome" >> WriteReport(str(output), parameters.splits)
        build(pipeline, songs)

    try:
        if ahead is not None:
            TakeSongs.running[name] = ahead
        counters = run_job(build_all, reading.beam_options)
    finally:
        TakeSongs.running.pop(name, None)
        (output / _LISTING).unlink(missing_ok=True)
    check_written(output, ("rejected.jsonl", "summary.json", "notes.json"))
    check_usable(output)
    return counters


def _elements(songs: ListedSongs) -> list[Files]:
    """Return the songs as elements of a Beam collection, each for one worker."""
    files = songs.files
    if not songs.in_order:
        return [(each,) for each in files]
    size = -(-len(files) // SHARES_IN_ORDER)
    return [tuple(files[first : first + size]) for first in range(0, len(files), size)]


def _write_listing(songs: ListedSongs, output: Path) -> Path:
    path = output / _LISTING
    # Neither an id nor a location holds a zero byte or is empty.
    elements = (b"\0".join(part for file in each for part in file) for each in _elements(songs))
    path.write_bytes(b"\0\0".join(elements))
    return path


def _read_listing(path: str) -> Iterator[Files]:
    with FileSystems.open(path, "application/octet-stream") as file:
        elements = file.read().split(b"\0\0")
    for element in elements:
        parts = element.split(b"\0")
        yield tuple(zip(parts[::2], parts[1::2], strict=True))


def _key(element: tuple[str, bytes], shards: Mapping[str, int]) -> Any:
    split, record = element
    song_id = read_frames(record).song_id
    return (split, shard_of(song_id, shards[split])), (song_id, record)
