"""A chart of the model's songs compared with the corpus, a row for each measure.

``templates/measures.html`` writes the rows as SVG.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.components.charts.shapes import Tick, round_step

LEFT, RIGHT = 190, 890
"""Ends of each row's axis, in units of the view box."""


@dataclass(frozen=True)
class Bar:
    """A range of the corpus, and whether it is the one between the quartiles."""

    x: float
    width: float
    is_middle: bool


@dataclass(frozen=True)
class Dot:
    """A song of the model: its place, above or below the middle of the row, and its value."""

    x: float
    y: float
    title: str


@dataclass(frozen=True)
class MeasureRow:
    """A measure on its own scale.

    Args:
        name: of the measure.
        ticks: of the scale.
        bars: quantiles of the corpus, the widest first.
        median: of the corpus; None where no song of the corpus has a value.
        dots: songs of the model.
    """

    name: str
    ticks: tuple[Tick, ...]
    bars: tuple[Bar, ...]
    median: float | None
    dots: tuple[Dot, ...]


def measure_rows(music: Mapping[str, Any]) -> list[MeasureRow]:
    """Return the rows of the measures of an ``evaluation.json``."""
    return [_row(name.replace("_", " "), measure) for name, measure in music.items()]


def _row(name: str, measure: Mapping[str, Any]) -> MeasureRow:
    corpus = {key: value for key, value in measure["corpus"].items() if value is not None}
    values = [value for value in measure["model"]["values"] if value is not None]
    ends = [corpus[key] for key in ("low", "median", "high") if key in corpus]
    low, high = min([*ends, *values], default=0.0), max([*ends, *values], default=1.0)
    span = high - low or 1.0

    def x(value: float) -> float:
        # Dots at the ends are drawn whole.
        return round(LEFT + 6 + (RIGHT - LEFT - 12) * (value - low) / span, 1)

    bars = tuple(
        Bar(x(corpus[first]), round(x(corpus[last]) - x(corpus[first]), 1), first != "low")
        for first, last in (("low", "high"), ("lower_quartile", "upper_quartile"))
        if first in corpus and last in corpus
    )
    # Songs with the same value would hide each other, so they are spread over the height of the
    # row.
    dots = tuple(
        Dot(x(value), round(((7 * place) % 11 - 5) * 1.4, 1), f"{value:.3g}")
        for place, value in enumerate(values)
    )
    ticks = tuple(Tick(x(value), f"{value:g}") for value in _ticks(low, high))
    median = x(corpus["median"]) if "median" in corpus else None
    return MeasureRow(name, ticks if ends or values else (), bars, median, dots)


def _ticks(low: float, high: float) -> Iterator[float]:
    """Yield round numbers from `low` to `high`, six at most."""
    step = round_step(high - low)
    for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1):
        yield round(number * step, 9)
