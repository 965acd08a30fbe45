"""StatisticsGen: statistics that compare songs and splits with each other."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.components.artifacts import Examples, ExampleStatistics, Sequences
from tunesmith.components.component import Component, ParameterError, ParameterSet, parameter


@dataclass(frozen=True)
class StatisticsGenInputs:
    """The songs as tokens, and the songs as frames with the rejected files."""

    examples: Examples
    sequences: Sequences


@dataclass(frozen=True)
class StatisticsGenParameters(ParameterSet):
    """Parameters of the comparison of songs."""

    listed_songs: int = parameter(
        10, "Number of songs listed by name (the largest, the most copied).", least=1
    )
    stretches: tuple[int, ...] = parameter(
        (8, 16, 32),
        "Lengths of the stretches of held-out songs that are searched in the training songs; 8, 16 "
        "and 32 frames are 1.6, 3.2 and 6.4 s at 5 frames per second.",
        least=3,
        unit="frames",
    )
    divisions: int = parameter(
        199,
        "Number of random divisions of the songs in the permutation test of the drift; 199 resolve "
        "a p-value of 0.005.",
        least=1,
    )
    seed: int = parameter(0, "Random seed of the permutation test.", least=0)

    def check(self) -> None:
        """Check that there is at least one length."""
        if not self.stretches:
            raise ParameterError("stretches", "must have at least one length")


STATISTICS_GEN: Component[StatisticsGenInputs, StatisticsGenParameters, ExampleStatistics] = (
    Component(
        "StatisticsGen",
        StatisticsGenInputs,
        StatisticsGenParameters,
        ExampleStatistics,
        "tunesmith.components.statistics_gen.executor:execute",
    )
)
