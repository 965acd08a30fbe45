"""Two runs side by side: their parameters, their code and their figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.components.parameter_values import leaves
from tunesmith.pipeline.history import Run, Step


@dataclass(frozen=True)
class Row:
    """A parameter, library or figure in two runs.

    Args:
        component: the component that it belongs to.
        name: of the parameter (dotted where it is nested), the library or the figure.
        first: its value in the first run; None if the run has none.
        second: in the second run.
    """

    component: str
    name: str
    first: Any
    second: Any

    @property
    def differs(self) -> bool:
        """True if the values differ."""
        return bool(self.first != self.second)


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side.

    Args:
        first: the first run.
        second: the second run.
        parameters: of each component.
        code: digest of the code and library versions, of each component.
        figures: of each component's artifact.
    """

    first: Run
    second: Run
    parameters: tuple[Row, ...]
    code: tuple[Row, ...]
    figures: tuple[Row, ...]


def compare_runs(first: Run, second: Run) -> Comparison:
    """Compare two runs; a skipped component counts with its cached execution."""
    return Comparison(
        first,
        second,
        tuple(_rows(first, second, lambda step: leaves(step.parameters))),
        tuple(_rows(first, second, lambda step: {"code": step.code, **step.libraries})),
        tuple(_rows(first, second, lambda step: step.figures)),
    )


def _rows(first: Run, second: Run, values: Callable[[Step], Mapping[str, Any]]) -> Iterator[Row]:
    ones, others = ({step.component: step for step in run.steps} for run in (first, second))
    for component in _in_order(ones, others):
        one, other = (
            values(steps[component]) if component in steps else {} for steps in (ones, others)
        )
        for name in _in_order(one, other):
            yield Row(component, name, one.get(name), other.get(name))


def _in_order(first: Iterable[str], second: Iterable[str]) -> list[str]:
    """Return the names of both, without repetition, those of `first` before the others."""
    return list(dict.fromkeys((*first, *second)))
