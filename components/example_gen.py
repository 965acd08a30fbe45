"""ExampleGen: MIDI files to sequences of frames, split by song, each music once."""

from __future__ import annotations

import bisect
import hashlib
import heapq
import json
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

from tunesmith.components.records import SongFrames, write_frames
from tunesmith.music import Grid, TrackChoice, UnusableFile, read_song
from tunesmith.music.reading import DEFAULT_MINIMUM_FRAMES, LARGEST_FILE, SongReading

REJECTED = "rejected"
DIGEST_BYTES = 16


@dataclass(frozen=True)
class ExampleGenParameters:
    """What ExampleGen is told.

    Args:
        track: a track choice, see :class:`tunesmith.music.TrackChoice`.
        grid: what a frame is; the paper's five a second by default.
        minimum_frames: shorter songs are rejected.
        eval_fraction: share of the songs held out, above 0 and below 1.
    """

    track: str = "first"
    grid: Grid = field(default_factory=Grid)
    minimum_frames: int = DEFAULT_MINIMUM_FRAMES
    eval_fraction: float = 0.1

    def __post_init__(self) -> None:
        TrackChoice.parse(self.track)
        if not 0 < self.eval_fraction < 1:
            raise ValueError(f"the eval fraction must be between 0 and 1, not {self.eval_fraction}")


def content_digest(song: SongReading) -> bytes:
    """Return 16 bytes that name the music itself, whatever the file is called."""
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    digest.update(len(song.distinct).to_bytes(8, "little") + song.distinct.tobytes())
    digest.update(song.ids.astype("<i4").tobytes())
    return digest.digest()


class HeldOutBound(beam.CombineFn):
    """Digests to the largest one that is held out for certain, so that small collections hold out.

    A digest's own value would do for a split of many songs. Of twenty songs it may hold out none,
    or one, so the ``eval_fraction * songs`` smallest digests are held out in any case. Counting
    stops mattering, and so stops, at `KEPT` of them.
    """

    KEPT = 1000

    def __init__(self, eval_fraction: float) -> None:
        super().__init__()
        self._eval_fraction = eval_fraction

    def create_accumulator(self) -> tuple[int, list[bytes]]:
        return 0, []

    def add_input(
        self, accumulator: tuple[int, list[bytes]], element: bytes
    ) -> tuple[int, list[bytes]]:
        count, smallest = accumulator
        bisect.insort(smallest, element)
        return count + 1, smallest[: self.KEPT]

    def merge_accumulators(
        self, accumulators: Iterable[tuple[int, list[bytes]]]
    ) -> tuple[int, list[bytes]]:
        counts, lists = zip(*accumulators, strict=True)
        return sum(counts), sorted(heapq.merge(*lists))[: self.KEPT]

    def extract_output(self, accumulator: tuple[int, list[bytes]]) -> bytes:
        count, smallest = accumulator
        wanted = min(math.ceil(count * self._eval_fraction), len(smallest))
        return smallest[wanted - 1] if wanted else b""


def is_held_out(digest: bytes, bound: bytes, eval_fraction: float) -> bool:
    """Say whether the song of this digest belongs to the eval split.

    Its content decides, not its name or place, so a song keeps its side when it is renamed.
    """
    return int.from_bytes(digest[:8], "big") / 2**64 < eval_fraction or digest <= bound


class ReadSong(beam.DoFn):
    """(song_id, path) to (digest, (song_id, record)); what cannot be used goes to ``rejected``."""

    def __init__(self, parameters: ExampleGenParameters) -> None:
        self._parameters = parameters
        self._track = TrackChoice.parse(parameters.track)

    def process(self, element: tuple[bytes, bytes]) -> Iterator[Any]:
        song_id, path = element
        try:
            song = read_song(
                self._read(path),
                self._track,
                self._parameters.grid,
                self._parameters.minimum_frames,
            )
        except UnusableFile as error:
            yield beam.pvalue.TaggedOutput(REJECTED, (song_id, error.reason, error.detail))
            return
        yield content_digest(song), (song_id, write_frames(SongFrames(song_id, *song)))

    @staticmethod
    def _read(path: bytes) -> bytes:
        try:
            with FileSystems.open(os.fsdecode(path)) as file:
                content: bytes = file.read(LARGEST_FILE + 1)
                return content
        except OSError as error:
            raise UnusableFile("unreadable", error.strerror or str(error)) from error


def _keep_first(element: tuple[bytes, Iterable[tuple[bytes, bytes]]]) -> Iterator[Any]:
    """(digest, songs of that digest) to (digest, record): one copy of each music stays."""
    digest, songs = element
    ordered = sorted(songs)
    for song_id, _ in ordered[1:]:
        detail = f"the same music as {os.fsdecode(ordered[0][0])}"
        yield beam.pvalue.TaggedOutput(REJECTED, (song_id, "duplicate", detail))
    yield digest, ordered[0][1]


def _split(element: tuple[bytes, bytes], bound: bytes, eval_fraction: float) -> Iterator[Any]:
    digest, record = element
    if is_held_out(digest, bound, eval_fraction):
        yield beam.pvalue.TaggedOutput("eval", record)
    else:
        yield record


class ReadSequences(beam.PTransform):
    """(song_id, path) to three collections by name.

    ``train`` and ``eval`` hold records of :func:`tunesmith.components.records.write_frames`,
    ``rejected`` (song_id, reason, detail). Ids and paths are bytes as the file system has them: a
    file name need not be valid text.
    """

    def __init__(self, parameters: ExampleGenParameters) -> None:
        super().__init__()
        self._parameters = parameters

    def expand(self, files: beam.PCollection) -> dict[str, beam.PCollection]:
        songs = (
            files
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.ParDo(ReadSong(self._parameters)).with_outputs(REJECTED, main="songs")
        )
        unique = (
            songs.songs
            | "SameMusic" >> beam.GroupByKey()
            | "KeepOne" >> beam.FlatMap(_keep_first).with_outputs(REJECTED, main="songs")
        )
        fraction = self._parameters.eval_fraction
        bound = (
            unique.songs
            | "Digests" >> beam.Keys()
            | "HeldOutBound" >> beam.CombineGlobally(HeldOutBound(fraction))
        )
        split = unique.songs | "Split" >> beam.FlatMap(
            _split, beam.pvalue.AsSingleton(bound), fraction
        ).with_outputs("eval", main="train")
        rejected = (songs[REJECTED], unique[REJECTED]) | "Rejected" >> beam.Flatten()
        return {"train": split.train, "eval": split.eval, "rejected": rejected}


def rejection_line(rejection: tuple[bytes, str, str]) -> str:
    """Return the line of ``rejected.jsonl`` for a (song_id, reason, detail)."""
    song_id, reason, detail = rejection
    return json.dumps({"path": os.fsdecode(song_id), "reason": reason, "detail": detail})
