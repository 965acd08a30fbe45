"""Transform: counts the vocabulary of the training split and writes every song as tokens."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
from numpy.typing import NDArray

from tunesmith.components.artifacts import SPLITS
from tunesmith.components.records import SongFrames, read_frames, write_tokens
from tunesmith.music import CorpusSettings, Frame, Grid, TrackChoice, Vocabulary
from tunesmith.music.frames import PACKED_BYTES, packed_keys, unpack_frames

DEFAULT_MAXIMUM_FRAMES = 1000
"""Sounding frames kept. It leaves the paper's corpus (277) whole and bounds a chordal one."""

STATISTICS = "statistics"


@dataclass(frozen=True)
class TransformParameters:
    """What Transform is told.

    Args:
        track: the track choice that the sequences were read with.
        grid: the grid that they were read on.
        transpose: the training songs are learned shifted by every number of semitones from the
            first to the last of these; a shift that would take a song out of the grid's pitch range
            is left out.
        maximum_frames: sounding frames in the vocabulary at most.
        minimum_count: frames of the training split that occur less often are left out.
    """

    track: str = "first"
    grid: Grid = field(default_factory=Grid)
    transpose: tuple[int, int] = (0, 0)
    maximum_frames: int = DEFAULT_MAXIMUM_FRAMES
    minimum_count: int = 1

    def __post_init__(self) -> None:
        _ = self.corpus
        for name in ("maximum_frames", "minimum_count"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name.replace('_', ' ')} must be at least 1")

    @property
    def corpus(self) -> CorpusSettings:
        """What the vocabulary and the model say of how the songs were read."""
        return CorpusSettings(TrackChoice.parse(self.track), self.grid, self.transpose)


def transposed(song: SongFrames, parameters: TransformParameters) -> Iterator[SongFrames]:
    """Yield a training song in every key that it is learned in, its own included."""
    low, high = parameters.transpose
    if low == high:
        yield song
        return
    bits = np.unpackbits(song.distinct, axis=1)
    sounding = np.flatnonzero(bits.any(axis=0))
    grid = parameters.grid
    for shift in range(low, high + 1):
        if grid.lowest <= sounding[0] + shift and sounding[-1] + shift <= grid.highest:
            song_id = song.song_id + b"@%+d" % shift if shift else song.song_id
            shifted = np.packbits(np.roll(bits, shift, axis=1), axis=1)
            yield song._replace(song_id=song_id, distinct=shifted)


class CorpusCount(NamedTuple):
    """What the training songs add up to.

    Attributes:
        frames: how often each frame occurs, by its bits (see ``packed_keys``).
        microseconds: how long they last.
    """

    frames: Counter[bytes]
    microseconds: int


class CountFrames(beam.CombineFn):
    """Records of songs to a :class:`CorpusCount`; memory grows with distinct frames only."""

    def __init__(self, parameters: TransformParameters) -> None:
        super().__init__()
        self._parameters = parameters

    def create_accumulator(self) -> CorpusCount:
        return CorpusCount(Counter(), 0)

    def add_input(self, accumulator: CorpusCount, element: bytes) -> CorpusCount:
        song = read_frames(element)
        counts = np.bincount(song.ids, minlength=len(song.distinct)).tolist()
        # Whole microseconds, so that the order of adding cannot show.
        length = round(1e6 * len(song.ids) / song.frames_per_second)
        microseconds = accumulator.microseconds
        for copy in transposed(song, self._parameters):
            microseconds += length
            accumulator.frames.update(dict(zip(packed_keys(copy.distinct), counts, strict=True)))
        return accumulator._replace(microseconds=microseconds)

    def merge_accumulators(self, accumulators: Iterable[CorpusCount]) -> CorpusCount:
        total: Counter[bytes] = Counter()
        microseconds = 0
        for accumulator in accumulators:
            total.update(accumulator.frames)
            microseconds += accumulator.microseconds
        return CorpusCount(total, microseconds)

    def extract_output(self, accumulator: CorpusCount) -> CorpusCount:
        return accumulator


class Encode(beam.DoFn):
    """A record of frames to a record of tokens; its statistics go to ``statistics``."""

    def __init__(self, split: str, parameters: TransformParameters) -> None:
        self._split = split
        self._parameters = parameters
        self._vocabulary: Vocabulary | None = None

    def process(self, record: bytes, vocabulary: str) -> Iterator[Any]:
        # The vocabulary is the same for every song of a job: parse it once a worker, and keep what
        # it learns about frames that it has to map.
        if self._vocabulary is None:
            self._vocabulary = Vocabulary.from_json(vocabulary)
        song = read_frames(record)
        copies = transposed(song, self._parameters) if self._split == "train" else [song]
        for copy in copies:
            distinct, mapped = self._vocabulary.encode_packed(copy.distinct)
            tokens = distinct[copy.ids]
            for name, count in self._counts(tokens, mapped[copy.ids]).items():
                yield beam.pvalue.TaggedOutput(STATISTICS, ((self._split, name), count))
            yield write_tokens(copy.song_id, tokens, copy.frames_per_second)

    @staticmethod
    def _counts(tokens: NDArray[np.int64], mapped: NDArray[np.bool_]) -> dict[str, int]:
        return {
            "songs": 1,
            "frames": len(tokens),
            # No sounding frame is mapped to the rest, which is token 0.
            "rests": int((tokens == 0).sum()),
            "mapped_frames": int(mapped.sum()),
            # A sequence of n frames gives n windows: each frame is a target once.
            "windows": len(tokens),
        }


class EncodeSequences(beam.PTransform):
    """Records of frames by split to records of tokens by split.

    Takes ``train`` and ``eval``; gives the same names as tokens, ``vocabulary`` and ``statistics``
    (one JSON text each).
    """

    def __init__(self, parameters: TransformParameters) -> None:
        super().__init__()
        self._parameters = parameters

    def expand(self, splits: dict[str, beam.PCollection]) -> dict[str, beam.PCollection]:
        counts = splits["train"] | "CountFrames" >> beam.CombineGlobally(
            CountFrames(self._parameters)
        )
        vocabulary = counts | "Vocabulary" >> beam.Map(_build_vocabulary, self._parameters)
        result: dict[str, beam.PCollection] = {"vocabulary": vocabulary}
        statistics = []
        for split in SPLITS:
            encoded = splits[split] | f"Encode-{split}" >> beam.ParDo(
                Encode(split, self._parameters), beam.pvalue.AsSingleton(vocabulary)
            ).with_outputs(STATISTICS, main="records")
            result[split] = encoded.records
            statistics.append(encoded[STATISTICS])
        result[STATISTICS] = (
            statistics
            | "Statistics" >> beam.Flatten()
            | "Sum" >> beam.CombinePerKey(sum)
            | "Collect" >> beam.combiners.ToList()
            | "Describe"
            >> beam.Map(
                _describe, beam.pvalue.AsSingleton(vocabulary), beam.pvalue.AsSingleton(counts)
            )
        )
        return result


def _build_vocabulary(counts: CorpusCount, parameters: TransformParameters) -> str:
    speed = parameters.grid.frames_per_second
    if parameters.grid.frames_per_beat and counts.microseconds:
        # Songs on a tempo-following grid each have a speed of their own: their mean, by length.
        speed = 1e6 * counts.frames.total() / counts.microseconds
    return Vocabulary.from_counts(
        _by_frame(counts.frames),
        speed,
        parameters.maximum_frames,
        parameters.minimum_count,
        parameters.corpus,
    ).to_json()


def _by_frame(counts: Counter[bytes]) -> dict[Frame, int]:
    packed = np.frombuffer(b"".join(counts), dtype=np.uint8).reshape(-1, PACKED_BYTES)
    return dict(zip(unpack_frames(packed), counts.values(), strict=True))


def _describe(
    counts: list[tuple[tuple[str, str], int]], vocabulary: str, corpus: CorpusCount
) -> str:
    """Return ``statistics.json``: counts by split, and the size of the vocabulary."""
    splits: dict[str, dict[str, Any]] = {split: {"songs": 0} for split in SPLITS}
    for (split, name), count in sorted(counts):
        splits[split][name] = count
    for content in splits.values():
        content["mapped_share"] = content.get("mapped_frames", 0) / content.get("frames", 1)
    return json.dumps(
        {
            "splits": splits,
            "distinct_sounding_frames": sum(any(key) for key in corpus.frames),
            "vocabulary_size": len(json.loads(vocabulary)["frames"]),
        },
        indent=2,
    )
