"""ExampleGen: MIDI files to sequences of frames, split by song, each music once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics

from tunesmith.components.beam_jobs.running import COUNTERS
from tunesmith.components.example_gen.component import ExampleGenParameters
from tunesmith.components.example_gen.read_ahead import ReadAhead
from tunesmith.components.example_gen.song_files import (
    Rejection,
    Song,
    read_song_file,
)
from tunesmith.components.example_gen.splitting import Bounds, SplitBounds, split_of
from tunesmith.components.sources.source import Files, Source, SourceReference

REPORT = "report"
"""Output of what is worth telling: (song_id, reason, detail) of a rejection, or (split, notes)."""

SongElement = tuple[bytes, tuple[bytes, bytes, bytes]]
"""(digest, (song_id, record, notes))."""


class ReadSongs(beam.DoFn):
    """Several (song_id, location) to :data:`SongElement`; rejections go to ``report``.

    Opens the source on the worker, with the plug-in path of the machine that submits the job.
    """

    def __init__(self, parameters: ExampleGenParameters, source: SourceReference) -> None:
        self._parameters = parameters
        self._source = source
        self._opened: Source | None = None

    def setup(self) -> None:
        self._opened = self._source.open()

    def process(self, element: Files) -> Iterator[Any]:
        assert self._opened is not None
        for song_id, location in element:
            yield _element(read_song_file(song_id, location, self._parameters, self._opened))


class TakeSongs(beam.DoFn):
    """Names of :attr:`running` to the elements of :class:`ReadSongs`.

    The songs are read by other processes of this machine. Only for a runner that executes in this
    process.
    """

    running: dict[str, ReadAhead] = {}  # noqa: RUF012

    def process(self, element: str) -> Iterator[Any]:
        yield from map(_element, self.running[element].results())


def _element(result: Song | Rejection) -> Any:
    if isinstance(result, Song):
        Metrics.counter(COUNTERS, "songs_read").inc()
        return result.digest, (result.song_id, result.record, result.notes)
    return _rejected(result)


def _rejected(rejection: Rejection) -> beam.pvalue.TaggedOutput:
    Metrics.counter(COUNTERS, "rejected_" + rejection.reason.replace(" ", "_")).inc()
    return beam.pvalue.TaggedOutput(REPORT, tuple(rejection))


def _keep_first(element: tuple[bytes, Iterable[tuple[bytes, bytes, bytes]]]) -> Iterator[Any]:
    """(digest, songs of that digest) to (digest, (record, notes)): one copy of each music stays."""
    digest, songs = element
    ordered = sorted(songs)
    for song_id, *_ in ordered[1:]:
        detail = f"the same music as {os.fsdecode(ordered[0][0])}"
        yield _rejected(Rejection(song_id, "duplicate", detail))
    yield digest, ordered[0][1:]


def _split(
    element: tuple[bytes, tuple[bytes, bytes]], bounds: Bounds, parameters: ExampleGenParameters
) -> Iterator[Any]:
    digest, (record, notes) = element
    split = split_of(digest, bounds, parameters)
    yield split, record
    yield beam.pvalue.TaggedOutput(REPORT, (split, notes))


class ReadSequences(beam.PTransform):
    """Songs of a source to two collections by name.

    An element is a few (song_id, location), to be read one after the other.

    ``songs`` holds (split, record of :func:`tunesmith.components.records.songs.write_frames`),
    ``report`` what :data:`REPORT` says. Ids and locations are bytes as the file system has them: a
    file name need not be valid text.

    Args:
        parameters: how to read.
        source: the source.
        ahead: the elements are names of :attr:`TakeSongs.running` instead.
    """

    def __init__(
        self, parameters: ExampleGenParameters, source: SourceReference, ahead: bool = False
    ) -> None:
        super().__init__()
        self._parameters = parameters
        self._source = source
        self._ahead = ahead

    def expand(self, files: beam.PCollection) -> dict[str, beam.PCollection]:
        read: beam.DoFn = TakeSongs()
        if not self._ahead:
            files = files | "Spread" >> beam.Reshuffle()
            read = ReadSongs(self._parameters, self._source)
        songs = files | "Read" >> beam.ParDo(read).with_outputs(REPORT, main="songs")
        unique = (
            songs.songs
            | "SameMusic" >> beam.GroupByKey()
            | "KeepOne" >> beam.FlatMap(_keep_first).with_outputs(REPORT, main="songs")
        )
        bounds = (
            unique.songs
            | "Digests" >> beam.Keys()
            | "Bounds" >> beam.CombineGlobally(SplitBounds(self._parameters)).without_defaults()
        )
        split = unique.songs | "Split" >> beam.FlatMap(
            _split, beam.pvalue.AsSingleton(bounds), self._parameters
        ).with_outputs(REPORT, main="songs")
        reports: Sequence[beam.PCollection] = (songs[REPORT], unique[REPORT], split[REPORT])
        return {"songs": split.songs, REPORT: reports | "Report" >> beam.Flatten()}
