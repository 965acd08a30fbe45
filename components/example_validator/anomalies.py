"""The anomalies of a collection, found in the statistics of StatisticsGen.

Every anomaly has a stable name, a value, a threshold, and one line that says what to do. The table
of docs/gates.md has the measured values that the thresholds were chosen by.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tunesmith.components.example_validator.component import (
    ANOMALIES,
    ExampleValidatorParameters,
)

ADVISORY = frozenset({"too-few-songs"})
"""Anomalies that are reported and do not stop the run."""

COMPARISONS = frozenset(
    {
        "dominant-song",
        "vocabulary-too-large",
        "high-mapped-share",
        "token-drift",
        "pitch-drift",
        "copies-across-splits",
    }
)
"""Anomalies that compare songs with each other. In a collection of few songs each is a large part
and differs from the others, so there these anomalies do not stop the run."""


@dataclass(frozen=True)
class Anomaly:
    """An anomaly of a collection.

    Args:
        name: one of :data:`tunesmith.components.example_validator.component.ANOMALIES`.
        split: the split with the anomaly; empty for the whole collection.
        value: the measured value.
        threshold: its bound.
        message: one line: the finding, and what to do.
    """

    name: str
    split: str
    value: float
    threshold: float
    message: str


def find_anomalies(
    statistics: dict[str, Any], parameters: ExampleValidatorParameters
) -> list[Anomaly]:
    """Return every anomaly of StatisticsGen's ``statistics.json``, in the order of
    :data:`~tunesmith.components.example_validator.component.ANOMALIES`.

    A split without songs is reported as empty and not checked further.
    """
    found = [
        *_of_files(statistics["files"], parameters),
        *_of_training(statistics, parameters),
        *_of_vocabulary(statistics, parameters),
    ]
    for split, content in statistics["splits"].items():
        found += _of_split(split, content, parameters)
    for split in statistics["drift"]:
        found += _of_held_out(split, statistics, parameters)
    return sorted(found, key=lambda each: ANOMALIES.index(each.name))


def _of_files(files: dict[str, Any], parameters: ExampleValidatorParameters) -> Iterator[Anomaly]:
    reasons = {k: v for k, v in files["rejected_by_reason"].items() if k != "duplicate"}
    share = sum(reasons.values()) / files["found"] if files["found"] else 0.0
    if share > parameters.maximum_rejected_share:
        reasons_found = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        yield Anomaly(
            "too-many-rejected-files",
            "",
            share,
            parameters.maximum_rejected_share,
            f"{share:.0%} of {files['found']} files were rejected ({reasons_found}): see "
            "rejected.jsonl, or choose another track",
        )


def _of_training(
    statistics: dict[str, Any], parameters: ExampleValidatorParameters
) -> Iterator[Anomaly]:
    train = statistics["splits"]["train"]
    if not train["frames"]:
        return
    if train["songs"] < parameters.minimum_songs:
        yield Anomaly(
            "too-few-songs",
            "train",
            train["songs"],
            parameters.minimum_songs,
            f"only {train['songs']} training songs, so the model will overfit: add songs",
        )
    if train["frames"] < parameters.minimum_windows:
        yield Anomaly(
            "too-few-windows",
            "train",
            train["frames"],
            parameters.minimum_windows,
            f"{train['frames']} training windows are less than one batch: add songs",
        )
    largest = train["largest_songs"][0]
    if largest["share"] > parameters.maximum_song_share:
        yield Anomaly(
            "dominant-song",
            "train",
            largest["share"],
            parameters.maximum_song_share,
            f"{largest['song_id']} has {largest['share']:.0%} of the training frames: shorten it "
            "or add songs",
        )


def _of_vocabulary(
    statistics: dict[str, Any], parameters: ExampleValidatorParameters
) -> Iterator[Anomaly]:
    size, frames = statistics["vocabulary_size"], statistics["splits"]["train"]["frames"]
    if not frames:
        return
    if size - 1 < parameters.minimum_sounding_frames:
        yield Anomaly(
            "vocabulary-too-small",
            "",
            size - 1,
            parameters.minimum_sounding_frames,
            f"the vocabulary has {size - 1} sounding frames of the "
            f"{statistics['distinct_sounding_frames']} in the training songs: lower the minimum "
            "count, or read another track",
        )
    if frames / size < parameters.minimum_windows_a_token:
        yield Anomaly(
            "vocabulary-too-large",
            "",
            frames / size,
            parameters.minimum_windows_a_token,
            f"{frames} training windows for {size} tokens are {frames / size:.1f} per token: add "
            "songs, or reduce the vocabulary",
        )


def _of_split(
    split: str, content: dict[str, Any], parameters: ExampleValidatorParameters
) -> Iterator[Anomaly]:
    if not content["frames"]:
        message = f"the split {split} has no frames: add songs, or change its share of them"
        yield Anomaly("empty-split", split, content["frames"], 1, message)
        return
    rests = content["rest_share"]
    if rests > parameters.maximum_rest_share:
        yield Anomaly(
            "nearly-all-rests",
            split,
            rests,
            parameters.maximum_rest_share,
            f"{rests:.0%} of the frames of {split} are rests: check the track choice",
        )
    held = content["songs_of_one_frame"]["count"] / content["songs"]
    if held > parameters.maximum_one_frame_songs:
        yield Anomaly(
            "one-frame-songs",
            split,
            held,
            parameters.maximum_one_frame_songs,
            f"in {held:.0%} of the songs of {split} one frame sounds throughout, such as "
            f"{content['songs_of_one_frame']['first'][0]}: leave them out",
        )
    mapped = content["mapped_share"]
    if mapped > parameters.maximum_mapped_share:
        yield Anomaly(
            "high-mapped-share",
            split,
            mapped,
            parameters.maximum_mapped_share,
            f"{mapped:.0%} of the frames of {split} are outside the vocabulary and were mapped to "
            "others: enlarge it, read fewer tracks or pitches, or add songs",
        )


def _of_held_out(
    split: str, statistics: dict[str, Any], parameters: ExampleValidatorParameters
) -> Iterator[Anomaly]:
    kinds = (
        ("token-drift", "tokens", "token", parameters.maximum_token_drift),
        ("pitch-drift", "pitch_classes", "pitch class", parameters.maximum_pitch_drift),
    )
    for name, key, what, threshold in kinds:
        drift = statistics["drift"][split][key]
        if (
            drift is not None
            and drift["bits"] > threshold
            and drift["chance"] < parameters.minimum_drift_chance
        ):
            yield Anomaly(
                name,
                split,
                drift["bits"],
                threshold,
                f"{what} distribution of {split} differs from train (JS divergence "
                f"{drift['bits']:.2f} bits; {drift['expected_bits']:.2f} expected by chance): use "
                f"a larger {split} split",
            )
    copies = statistics["copies"][split]
    longest = max(copies, key=lambda each: each["frames"])
    if longest["known_share"] > parameters.maximum_known_share:
        most = longest["most_known_songs"][0]
        yield Anomaly(
            "copies-across-splits",
            split,
            longest["known_share"],
            parameters.maximum_known_share,
            f"{longest['known_share']:.0%} of the {longest['frames']}-frame stretches of {split} "
            f"also occur in training songs, most often those of {most['song_id']}: leave one of "
            "the copies out",
        )
