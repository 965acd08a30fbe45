"""Two runs side by side: their parameters, their code and their figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.components.parameter_values import leaves
from tunesmith.pipeline.history import Run, Step


@dataclass(frozen=True)
class Row:
    """One thing that two runs may differ in.

    Args:
        component: whose it is.
        name: the parameter's, dotted where it is nested, the library's, or the figure's.
        first: its value in the first run; None where that run has none.
        second: in the second run.
    """

    component: str
    name: str
    first: Any
    second: Any

    @property
    def differs(self) -> bool:
        """Whether the runs differ in it."""
        return bool(self.first != self.second)


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side.

    Args:
        first: the one.
        second: the other.
        parameters: of each component.
        code: of each component: the digest of its code, and the versions of its libraries.
        figures: of each component's artifact.
    """

    first: Run
    second: Run
    parameters: tuple[Row, ...]
    code: tuple[Row, ...]
    figures: tuple[Row, ...]


def compare_runs(first: Run, second: Run) -> Comparison:
    """Return two runs side by side; what a run skipped counts as what it would have executed."""
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
    """Return the names of both, those of the first first."""
    return list(dict.fromkeys((*first, *second)))
