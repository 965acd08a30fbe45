"""StatisticsGen: statistics that compare songs and splits with each other."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.components.artifacts import Examples, ExampleStatistics, Sequences
from tunesmith.components.component import Component, ParameterError, ParameterSet, parameter


@dataclass(frozen=True)
class StatisticsGenInputs:
    """The songs as tokens, and what became of the files."""

    examples: Examples
    sequences: Sequences


@dataclass(frozen=True)
class StatisticsGenParameters(ParameterSet):
    """How the songs are compared."""

    listed_songs: int = parameter(
        10, "Number of songs listed by name: the largest, the most copied.", least=1
    )
    stretches: tuple[int, ...] = parameter(
        (8, 16, 32),
        "Lengths of the stretches of held-out songs that are looked for in the training songs. "
        "At 5 frames per second they are 1.6, 3.2 and 6.4 seconds.",
        least=3,
        unit="frames",
    )
    divisions: int = parameter(
        199,
        "Random divisions of the songs that the drift between splits is compared with; 199 resolve "
        "a chance of 0.005.",
        least=1,
    )
    seed: int = parameter(0, "Random seed of the divisions.", least=0)

    def check(self) -> None:
        """Check that there is a stretch."""
        if not self.stretches:
            raise ParameterError("stretches", "must name one length at least")


STATISTICS_GEN: Component[StatisticsGenInputs, StatisticsGenParameters, ExampleStatistics] = (
    Component(
        "StatisticsGen",
        StatisticsGenInputs,
        StatisticsGenParameters,
        ExampleStatistics,
        "tunesmith.components.statistics_gen.executor:execute",
    )
)
