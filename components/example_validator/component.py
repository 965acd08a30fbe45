"""ExampleValidator: finds what is wrong with the examples before training."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.components.artifacts import ExampleAnomalies, ExampleStatistics
from tunesmith.components.component import Component, ParameterSet, parameter

ANOMALIES = (
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
"""The name of every anomaly."""


@dataclass(frozen=True)
class ExampleValidatorInputs:
    """The statistics of the examples."""

    statistics: ExampleStatistics


@dataclass(frozen=True)
class ExampleValidatorParameters(ParameterSet):
    """Thresholds of the anomalies; docs/gates.md has the values of real collections."""

    minimum_songs: int = parameter(
        10, "Minimum number of training songs for anomalies that compare songs.", least=0
    )
    minimum_windows: int = parameter(64, "Minimum number of training windows.", least=0)
    maximum_rejected_share: float = parameter(
        0.5, "Maximum share of rejected files, without duplicates.", least=0
    )
    maximum_song_share: float = parameter(
        0.5, "Maximum share of the training frames in one song.", least=0
    )
    maximum_rest_share: float = parameter(0.9, "Maximum share of rests in a split.", least=0)
    maximum_one_frame_songs: float = parameter(
        0.1, "Maximum share of songs that hold one frame from beginning to end.", least=0
    )
    minimum_sounding_frames: int = parameter(
        2, "Minimum number of sounding frames in the vocabulary.", least=0
    )
    minimum_windows_a_token: float = parameter(
        3.0, "Minimum number of training windows per token of the vocabulary.", least=0
    )
    maximum_mapped_share: float = parameter(
        0.3, "Maximum share of a split's frames outside the vocabulary.", least=0
    )
    maximum_token_drift: float = parameter(
        0.1,
        "Maximum Jensen-Shannon divergence between the tokens of train and a held-out split.",
        least=0,
        unit="bits",
    )
    maximum_pitch_drift: float = parameter(
        0.05,
        "Maximum Jensen-Shannon divergence between the pitch classes of train and a held-out "
        "split.",
        least=0,
        unit="bits",
    )
    minimum_drift_chance: float = parameter(
        0.01,
        "Minimum p-value of the permutation test: a drift with a larger one is due to chance.",
        least=0,
    )
    maximum_known_share: float = parameter(
        0.2, "Maximum share of a held-out split's longest stretches that occur in train.", least=0
    )
    allow: tuple[str, ...] = parameter(
        (),
        "Anomaly to ignore, by name.",
        choices=ANOMALIES,
        option="--allow",
    )


EXAMPLE_VALIDATOR: Component[
    ExampleValidatorInputs, ExampleValidatorParameters, ExampleAnomalies
] = Component(
    "ExampleValidator",
    ExampleValidatorInputs,
    ExampleValidatorParameters,
    ExampleAnomalies,
    "tunesmith.components.example_validator.executor:execute",
)
