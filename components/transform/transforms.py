"""Transform: counts the vocabulary of the training split and writes every song as tokens."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam.metrics import Metrics

from tunesmith.components.beam_jobs.running import COUNTERS
from tunesmith.components.encodings.encoding import (
    TokenVocabulary,
    load_encoding,
    read_vocabulary,
    vocabulary_json,
)
from tunesmith.components.records.shards import shard_of
from tunesmith.components.records.songs import write_tokens
from tunesmith.components.transform.song_tokens import TokenSettings, transposed
from tunesmith.components.transform.statistics import (
    REST_KEYS,
    SplitStatistics,
    coverage_curve,
    describe,
)
from tunesmith.music.frames import packed_keys

STATISTICS = "statistics"


class CorpusCount(NamedTuple):
    """Counts over the training songs.

    Attributes:
        frames: occurrences of each frame, by its bits (see ``packed_keys``).
        microseconds: their total duration.
    """

    frames: Counter[bytes]
    microseconds: int


class CountFrames(beam.CombineFn):
    """(split, record) to the :class:`CorpusCount` of the training songs.

    Memory grows with distinct frames only.
    """

    def __init__(self, settings: TokenSettings) -> None:
        super().__init__()
        self._settings = settings

    def create_accumulator(self) -> CorpusCount:
        return CorpusCount(Counter(), 0)

    def add_input(self, accumulator: CorpusCount, element: tuple[str, bytes]) -> CorpusCount:
        split, record = element
        if split != "train":
            return accumulator
        song = self._settings.read(record)
        counts = np.bincount(song.ids, minlength=len(song.distinct)).tolist()
        # Whole microseconds, so that the order of adding cannot show.
        length = round(1e6 * len(song.ids) / song.frames_per_second)
        microseconds = accumulator.microseconds
        for copy in transposed(song, self._settings.corpus):
            microseconds += length
            accumulator.frames.update(dict(zip(packed_keys(copy.packed), counts, strict=True)))
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
    """(split, record of frames) to keyed records of tokens; their counts go to ``statistics``.

    Args:
        settings: of the encoding.
        shards: number of shards of each split.
    """

    def __init__(self, settings: TokenSettings, shards: Mapping[str, int]) -> None:
        self._settings = settings
        self._shards = dict(shards)
        self._vocabulary: TokenVocabulary | None = None

    def process(self, element: tuple[str, bytes], vocabulary: str) -> Iterator[Any]:
        # The vocabulary is the same for every song of a job: parse it once a worker, and keep what
        # it learns about frames that it has to map.
        if self._vocabulary is None:
            self._vocabulary = read_vocabulary(vocabulary)
        split, record = element
        song = self._settings.read(record)
        shard = split, shard_of(song.song_id, self._shards[split])
        for copy in transposed(song, self._settings.corpus) if split == "train" else [song]:
            tokens, mapped = self._vocabulary.encode_song(copy.packed, copy.ids)
            counted = SplitStatistics.of_song(copy, tokens, mapped)
            Metrics.counter(COUNTERS, f"frames_{split}").inc(counted.frames)
            Metrics.counter(COUNTERS, f"mapped_frames_{split}").inc(counted.mapped_frames)
            yield beam.pvalue.TaggedOutput(STATISTICS, (split, counted.to_bytes()))
            yield shard, (copy.song_id, write_tokens(copy.song_id, tokens, copy.frames_per_second))


class MergeStatistics(beam.CombineFn):
    """(split, bytes of a song's statistics) to the statistics of each split."""

    def create_accumulator(self) -> dict[str, bytes]:
        return {}

    def add_input(
        self, accumulator: dict[str, bytes], element: tuple[str, bytes]
    ) -> dict[str, bytes]:
        return self.merge_accumulators([accumulator, dict([element])])

    def merge_accumulators(self, accumulators: Iterable[dict[str, bytes]]) -> dict[str, bytes]:
        parts: dict[str, list[bytes]] = {}
        for accumulator in accumulators:
            for split, counted in accumulator.items():
                parts.setdefault(split, []).append(counted)
        return {split: SplitStatistics.merge_bytes(each) for split, each in parts.items()}

    def extract_output(self, accumulator: dict[str, bytes]) -> dict[str, bytes]:
        return accumulator


class EncodeSequences(beam.PTransform):
    """(split, record of frames) to three collections by name.

    ``records`` holds records of tokens, keyed for
    :class:`tunesmith.components.records.shards.WriteShards`, ``vocabulary`` and ``statistics`` one
    JSON text each.

    Args:
        settings: how songs become tokens.
        shards: how many each split has; its splits are those of the songs.
    """

    def __init__(self, settings: TokenSettings, shards: Mapping[str, int]) -> None:
        super().__init__()
        self._settings = settings
        self._shards = dict(shards)

    def expand(self, songs: beam.PCollection) -> dict[str, beam.PCollection]:
        counted = (
            songs
            | "CountFrames" >> beam.CombineGlobally(CountFrames(self._settings)).without_defaults()
            | "Build" >> beam.Map(build_vocabulary, self._settings)
        )
        # Two steps of one output each: Beam's older runner loses side inputs of a step with two.
        vocabulary = counted | "Vocabulary" >> beam.Map(itemgetter(0))
        facts = counted | "Facts" >> beam.Map(itemgetter(1))
        encoded = songs | "Encode" >> beam.ParDo(
            Encode(self._settings, self._shards), beam.pvalue.AsSingleton(vocabulary)
        ).with_outputs(STATISTICS, main="records")
        statistics = (
            encoded[STATISTICS]
            | "Merge" >> beam.CombineGlobally(MergeStatistics()).without_defaults()
            | "Describe" >> beam.Map(_describe, tuple(self._shards), beam.pvalue.AsSingleton(facts))
        )
        return {
            "records": encoded.records,
            "vocabulary": vocabulary,
            STATISTICS: statistics,
        }


def build_vocabulary(corpus: CorpusCount, settings: TokenSettings) -> tuple[str, dict[str, Any]]:
    """Return the vocabulary as JSON, and statistics of the counts.

    The tokens of a parent model come first, followed by other frames by falling frequency.

    Args:
        corpus: the counts.
        settings: of the encoding.
    """
    frames = corpus.frames
    speed = settings.corpus.grid.frames_per_second
    if settings.corpus.grid.frames_per_beat and corpus.microseconds:
        # Songs on a tempo-following grid each have a speed of their own: their mean, by length.
        speed = 1e6 * frames.total() / corpus.microseconds
    encoding = load_encoding(settings.corpus.encoding)
    vocabulary = encoding.fit(
        frames,
        speed,
        settings.corpus,
        maximum_frames=settings.maximum_frames + len(settings.known),
        minimum_count=settings.minimum_count,
    )
    if settings.known:
        known = frozenset(settings.known)
        new = [name for name in vocabulary.names if name not in known][: settings.maximum_frames]
        vocabulary = encoding.from_names((*settings.known, *new), speed, settings.corpus)
    facts = {
        "vocabulary_size": len(vocabulary),
        "distinct_sounding_frames": len(frames) - any(rest in frames for rest in REST_KEYS),
        "coverage": coverage_curve(frames, len(vocabulary)),
    }
    return vocabulary_json(vocabulary), facts


def _describe(counted: Mapping[str, bytes], splits: Sequence[str], facts: dict[str, Any]) -> str:
    """Return ``statistics.json``."""
    of_splits = {
        split: SplitStatistics.from_bytes(counted[split]) if split in counted else SplitStatistics()
        for split in splits
    }
    return json.dumps(describe(of_splits, **facts), indent=2)
