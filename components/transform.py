"""Transform: counts the vocabulary of the training split and writes every song as tokens."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam

from tunesmith.components.artifacts import SPLITS
from tunesmith.components.records import read_frames, write_tokens
from tunesmith.music import REST, Frame, Vocabulary

DEFAULT_MAXIMUM_FRAMES = 1000
"""Sounding frames kept. It leaves the paper's corpus (277) whole and bounds a chordal one."""

STATISTICS = "statistics"

Count = tuple[str, str, int]
"""(split, what is counted, how many)."""


@dataclass(frozen=True)
class TransformParameters:
    """What Transform is told.

    Args:
        frames_per_second: the speed that the sequences were read at.
        maximum_frames: sounding frames in the vocabulary at most.
        minimum_count: frames of the training split that occur less often are left out.
    """

    frames_per_second: float
    maximum_frames: int = DEFAULT_MAXIMUM_FRAMES
    minimum_count: int = 1

    def __post_init__(self) -> None:
        for name in ("maximum_frames", "minimum_count"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name.replace('_', ' ')} must be at least 1")


class CountFrames(beam.CombineFn):
    """Lists of frames to one count per frame; memory grows with distinct frames only."""

    def create_accumulator(self) -> Counter[Frame]:
        return Counter()

    def add_input(self, accumulator: Counter[Frame], element: list[Frame]) -> Counter[Frame]:
        accumulator.update(element)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Counter[Frame]]) -> Counter[Frame]:
        total: Counter[Frame] = Counter()
        for accumulator in accumulators:
            total.update(accumulator)
        return total

    def extract_output(self, accumulator: Counter[Frame]) -> Counter[Frame]:
        return accumulator


class Encode(beam.DoFn):
    """A record of frames to a record of tokens; its statistics go to ``statistics``."""

    def __init__(self, split: str) -> None:
        self._split = split
        self._vocabulary: Vocabulary | None = None

    def process(self, record: bytes, vocabulary: str) -> Iterator[Any]:
        # The vocabulary is the same for every song of a job: parse it once a worker, and keep what
        # it learns about frames that it has to map.
        if self._vocabulary is None:
            self._vocabulary = Vocabulary.from_json(vocabulary)
        known = self._vocabulary
        song_id, frames = read_frames(record)
        counts = {
            "songs": 1,
            "frames": len(frames),
            "rests": frames.count(REST),
            "mapped_frames": known.count_mapped(frames),
            # A sequence of n frames gives n windows: each frame is a target once.
            "windows": len(frames),
        }
        for name, count in counts.items():
            yield beam.pvalue.TaggedOutput(STATISTICS, ((self._split, name), count))
        yield write_tokens(song_id, known.encode(frames).tolist(), known.frames_per_second)


class EncodeSequences(beam.PTransform):
    """Records of frames by split to records of tokens by split.

    Takes ``train`` and ``eval``; gives the same names as tokens, ``vocabulary`` and ``statistics``
    (one JSON text each).
    """

    def __init__(self, parameters: TransformParameters) -> None:
        super().__init__()
        self._parameters = parameters

    def expand(self, splits: dict[str, beam.PCollection]) -> dict[str, beam.PCollection]:
        counts = (
            splits["train"]
            | "Frames" >> beam.Map(lambda record: read_frames(record).frames)
            | "CountFrames" >> beam.CombineGlobally(CountFrames())
        )
        vocabulary = counts | "Vocabulary" >> beam.Map(_build_vocabulary, self._parameters)
        result: dict[str, beam.PCollection] = {"vocabulary": vocabulary}
        statistics = []
        for split in SPLITS:
            encoded = splits[split] | f"Encode-{split}" >> beam.ParDo(
                Encode(split), beam.pvalue.AsSingleton(vocabulary)
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


def _build_vocabulary(counts: Counter[Frame], parameters: TransformParameters) -> str:
    return Vocabulary.from_counts(
        counts,
        parameters.frames_per_second,
        parameters.maximum_frames,
        parameters.minimum_count,
    ).to_json()


def _describe(
    counts: list[tuple[tuple[str, str], int]], vocabulary: str, frames: Counter[Frame]
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
            "distinct_sounding_frames": sum(frame != REST for frame in frames),
            "vocabulary_size": len(json.loads(vocabulary)["frames"]),
        },
        indent=2,
    )
