"""What can be wrong with a collection, from StatisticsGen's numbers alone.

Every anomaly has a name that stays, the value, the threshold, and a sentence that says what to do.

What the thresholds were set beside (``tunesmith preprocess``, first track unless said otherwise):

======================= ========= ======== ================ ========== ===================
measured                JJ Lin 22 POP909   chorales (demo)  two songs  ``--track all``
======================= ========= ======== ================ ========== ===================
mapped share, eval      0.135     0.004    0.005            0.177      0.835 JJ Lin, 0.663
token drift, bits       0.34      0.013    0.051            0.14       0.43, 0.044
… its chance            0.41      0.80     0.37             1          1.0, 0.76
pitch-class drift, bits 0.051     0.0017   0.0016           0.053      0.044, 0.0040
largest song's share    0.14      0.003    0.011            1          0.13, 0.003
rest share, train       0.16      0.32     0.009            0          0.045, 0.013
known 32-frame stretches 0        0.0022   0.0064           0          0, 0.0002
windows a token         39        1,223    79               6.8        11, 885
======================= ========= ======== ================ ========== ===================
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

KNOWN = (
    "empty-split",
    "too-few-songs",
    "too-few-windows",
    "too-many-rejected-files",
    "dominant-song",
    "nearly-all-rests",
    "one-frame-songs",
    "vocabulary-too-small",
    "vocabulary-too-large",
    "high-mapped-share",
    "token-drift",
    "pitch-drift",
    "copies-across-splits",
)
"""Every anomaly's name."""

ADVISORY = frozenset({"too-few-songs"})
"""Those that are told and stop nothing."""

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
"""Those that compare songs with each other. Of a handful of songs every one is a large part and
unlike the rest, so these only advise in a collection of too few songs."""


@dataclass(frozen=True)
class ExampleValidatorParameters:
    """What ExampleValidator takes for an anomaly; the module says what real collections measure.

    Shares are of 1.

    Args:
        minimum_songs: to learn from; with fewer the comparisons of songs only advise.
        minimum_windows: to learn from; a batch of the paper's.
        maximum_rejected_share: of the files found. Second copies of the same music do not count.
        maximum_song_share: of the frames to learn from, by one song.
        maximum_rest_share: of a split's frames.
        maximum_one_frame_songs: share of a split's songs in which one frame sounds from the start
            to the end.
        minimum_sounding_frames: in the vocabulary; with one there is nothing to choose.
        minimum_windows_a_token: training windows for each token of the vocabulary.
        maximum_mapped_share: of a split's frames, outside the vocabulary.
        maximum_token_drift: bits, 0 to 1, from the training songs to a split held out.
        maximum_pitch_drift: the same, of pitch classes.
        minimum_drift_chance: a drift that this share of random divisions of the songs reach is no
            anomaly, however large.
        maximum_known_share: of a held-out split's longest stretches, in training songs.
        allow: names of anomalies that do not stop a run.
    """

    minimum_songs: int = 10
    minimum_windows: int = 64
    maximum_rejected_share: float = 0.5
    maximum_song_share: float = 0.5
    maximum_rest_share: float = 0.9
    maximum_one_frame_songs: float = 0.1
    minimum_sounding_frames: int = 2
    minimum_windows_a_token: float = 3.0
    maximum_mapped_share: float = 0.3
    maximum_token_drift: float = 0.1
    maximum_pitch_drift: float = 0.05
    minimum_drift_chance: float = 0.01
    maximum_known_share: float = 0.2
    allow: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = sorted(set(self.allow) - set(KNOWN))
        if unknown:
            raise ValueError(
                f"there is no anomaly {unknown[0]!r} to allow; there are: {', '.join(KNOWN)}"
            )
        for name, value in asdict(self).items():
            if name != "allow" and value < 0:
                raise ValueError(f"{name.replace('_', ' ')} must not be negative")


@dataclass(frozen=True)
class Anomaly:
    """One finding.

    Args:
        name: one of :data:`KNOWN`.
        split: where; empty where it is of the whole collection.
        value: what was found.
        threshold: what it may be.
        message: what it is and what to do, a sentence.
    """

    name: str
    split: str
    value: float
    threshold: float
    message: str


def find_anomalies(
    statistics: dict[str, Any], parameters: ExampleValidatorParameters
) -> list[Anomaly]:
    """Return every anomaly of StatisticsGen's ``statistics.json``, in the order of :data:`KNOWN`.

    A split without songs is empty and nothing else: the other questions have no answer there.
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
    return sorted(found, key=lambda each: KNOWN.index(each.name))


def _of_files(files: dict[str, Any], parameters: ExampleValidatorParameters) -> Iterator[Anomaly]:
    reasons = {k: v for k, v in files["rejected_by_reason"].items() if k != "duplicate"}
    share = sum(reasons.values()) / files["found"] if files["found"] else 0.0
    if share > parameters.maximum_rejected_share:
        told = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        yield Anomaly(
            "too-many-rejected-files",
            "",
            share,
            parameters.maximum_rejected_share,
            f"{share:.0%} of {files['found']} files cannot be used ({told}): see rejected.jsonl, "
            "or choose another track",
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
            f"{train['songs']} songs to learn from: the model will know them by heart, add more",
        )
    if train["frames"] < parameters.minimum_windows:
        yield Anomaly(
            "too-few-windows",
            "train",
            train["frames"],
            parameters.minimum_windows,
            f"{train['frames']} windows to learn from are less than one batch: add songs",
        )
    largest = train["largest_songs"][0]
    if largest["share"] > parameters.maximum_song_share:
        yield Anomaly(
            "dominant-song",
            "train",
            largest["share"],
            parameters.maximum_song_share,
            f"{largest['song_id']} is {largest['share']:.0%} of the frames to learn from: shorten "
            "it or add songs",
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
            f"{statistics['distinct_sounding_frames']} heard: lower the minimum count, or read "
            "another track",
        )
    if frames / size < parameters.minimum_windows_a_token:
        yield Anomaly(
            "vocabulary-too-large",
            "",
            frames / size,
            parameters.minimum_windows_a_token,
            f"{frames} windows for {size} tokens are {frames / size:.1f} for each: add songs, or "
            "bound the vocabulary",
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
            f"{rests:.0%} of the frames of {split} are rests: is the music on another track?",
        )
    held = content["songs_of_one_frame"]["count"] / content["songs"]
    if held > parameters.maximum_one_frame_songs:
        yield Anomaly(
            "one-frame-songs",
            split,
            held,
            parameters.maximum_one_frame_songs,
            f"{held:.0%} of the songs of {split} hold one frame from start to end, the first "
            f"{content['songs_of_one_frame']['first'][0]}: leave them out",
        )
    mapped = content["mapped_share"]
    if mapped > parameters.maximum_mapped_share:
        yield Anomaly(
            "high-mapped-share",
            split,
            mapped,
            parameters.maximum_mapped_share,
            f"{mapped:.0%} of the frames of {split} are outside the vocabulary and stand as "
            "others: enlarge it, read fewer tracks or pitches, or add songs",
        )


def _of_held_out(
    split: str, statistics: dict[str, Any], parameters: ExampleValidatorParameters
) -> Iterator[Anomaly]:
    kinds = (
        ("token-drift", "tokens", "frames", parameters.maximum_token_drift),
        ("pitch-drift", "pitch_classes", "pitch classes", parameters.maximum_pitch_drift),
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
                f"the {what} of {split} lie {drift['bits']:.2f} bits from those of train, random "
                f"divisions {drift['expected_bits']:.2f}: hold out more of it",
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
            f"{longest['known_share']:.0%} of {split}'s stretches of {longest['frames']} frames "
            f"stand in training songs, most of {most['song_id']}: leave one of the copies out",
        )
