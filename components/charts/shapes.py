"""Charts as shapes: axes, ticks, lines and areas, computed without a drawing library.

:func:`tunesmith.components.charts.svg.draw` writes them as SVG, which shows its values where it is
pointed at.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Plane:
    """The plot area in the view box of a chart; a unit is about a pixel on a wide screen."""

    width: int = 480
    height: int = 270
    left: int = 50
    right: int = 460
    top: int = 14
    bottom: int = 226

    def y(self, value: float, ceiling: float = 1.0) -> float:
        """Return the height of `value` where the y axis goes from 0 to `ceiling`."""
        return round(self.bottom - (self.bottom - self.top) * value / ceiling, 1)


PLANE = Plane()
TITLED = Plane(height=300, right=436, top=44, bottom=256)
"""With room for titles and a legend above, and for the ticks of a y axis on the right."""


LEAST = 1e-12
"""Below it a value counts as zero: no step of an axis can be computed from the least floats."""


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis, in units of the view box."""

    at: float
    label: str


@dataclass(frozen=True)
class Column:
    """A part of the x axis with a tooltip."""

    x: float
    width: float
    title: str


@dataclass(frozen=True)
class Series:
    """A line, or the outline of an area that the x axis closes.

    Args:
        colour: which of the colours.
        path: SVG path data.
        is_area: whether to fill it.
        name: in the legend; without one the page has the legend.
    """

    colour: int
    path: str
    is_area: bool
    name: str = ""


@dataclass(frozen=True)
class Mark:
    """A vertical line, and its label at the height `y`."""

    x: float
    y: float
    label: str


@dataclass(frozen=True)
class Chart:
    """A chart: axes, and the series between them.

    Args:
        label: text alternative for screen readers.
        x_title: title of the x axis, with its unit.
        series: lines and areas, the first at the bottom.
        columns: tooltips along the x axis.
        mark: a highlighted value of the x axis.
        plane: the plot area.
        y_titles: of the y axes on the left and on the right; empty without one.
        right_ticks: of a second y axis.
    """

    label: str
    x_title: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    series: tuple[Series, ...]
    columns: tuple[Column, ...]
    mark: Mark | None = None
    plane: Plane = PLANE
    y_titles: tuple[str, str] = ("", "")
    right_ticks: tuple[Tick, ...] = ()


def histogram(
    label: str,
    x_title: str,
    series: Mapping[str, Sequence[float]],
    shown: range,
    value_name: Callable[[int], str],
    labels: Mapping[float, str] | Mapping[int, str],
) -> Chart | None:
    """Draw shares by value: the first series as an area, the others as lines over it.

    Args:
        series: shares by name, indexed by value; one shorter than `shown` goes on with zeros.
        shown: the values on the x axis, each as wide as the others.
        value_name: names a value.
        labels: the ticks of the x axis, by value.
    """
    rows = {
        name: [shares[at] if at < len(shares) else 0.0 for at in shown]
        for name, shares in series.items()
    }
    top = max((max(row) for row in rows.values()), default=0.0)
    if top < LEAST:
        return None
    ceiling, steps = _axis(top)
    width = (PLANE.right - PLANE.left) / len(shown)

    def outline(row: Sequence[float]) -> str:
        stairs = (
            f"V{PLANE.y(share, ceiling)}H{PLANE.left + width * (at + 1):.1f}"
            for at, share in enumerate(row)
        )
        return f"M{PLANE.left} {PLANE.bottom}{''.join(stairs)}V{PLANE.bottom}"

    def title(at: int) -> str:
        values = (f"{name} {percent(row[at])}" for name, row in rows.items() if any(row))
        return f"{value_name(shown[at])}: {', '.join(values)}"

    return Chart(
        label,
        x_title,
        tuple(
            Tick(round(PLANE.left + width * (value - shown.start + 0.5), 1), text)
            for value, text in labels.items()
        ),
        tuple(Tick(PLANE.y(step, ceiling), f"{100 * step:g} %") for step in steps),
        tuple(
            Series(colour, outline(row), is_area=colour == 0)
            for colour, row in enumerate(rows.values())
            if any(row)
        ),
        tuple(
            Column(round(PLANE.left + width * at, 1), round(width, 1), title(at))
            for at in range(len(shown))
        ),
    )


def curve(
    label: str,
    x_title: str,
    points: Sequence[tuple[int, float]],
    value_name: Callable[[int], str],
    mark: tuple[int, str],
) -> Chart:
    """Draw shares that grow with a value, whose axis is logarithmic.

    Args:
        points: (value, share) in rising order, values from 1, shares 0..1.
        value_name: names a value.
        mark: a value among the points worth a line, and what to say of it.
    """
    decades = math.log10(max(points[-1][0], 10))

    def x(value: float) -> float:
        return round(PLANE.left + (PLANE.right - PLANE.left) * math.log10(value) / decades, 1)

    places = [(x(value), PLANE.y(share)) for value, share in points]
    titles = [f"{value_name(value)}: {percent(share)}" for value, share in points]
    marked, says = mark
    # The words stand on the inner side of the line, above a low curve or below a high one.
    is_above = x(marked) > PLANE.width / 2 and dict(points)[marked] < 0.5
    return Chart(
        label,
        x_title,
        tuple(Tick(x(10**power), f"{10**power:,}") for power in range(math.floor(decades) + 1)),
        tuple(Tick(PLANE.y(part / 4), f"{25 * part} %") for part in range(5)),
        (Series(0, _line(places), is_area=False),),
        _columns([across for across, _ in places], titles, PLANE),
        Mark(x(marked), PLANE.top + 12 if is_above else PLANE.bottom - 10, says),
    )


def lines(
    label: str,
    x_title: str,
    y_title: str,
    places: Sequence[int],
    series: Mapping[str, Sequence[float]],
    mark: tuple[int, str],
    right: tuple[str, float] = ("", 0.0),
) -> Chart:
    """Draw values by number, from 0 up, with a legend.

    Args:
        places: the numbers, rising by one from one to the next, at least one.
        series: values by name, not negative, one for each number.
        mark: a number worth a line, and its label.
        right: the title of a second y axis, and how many of its units are one of the first axis; 0
            for no such axis.
    """
    ceiling, steps = _axis(max(map(max, series.values())))
    width = (TITLED.right - TITLED.left) / len(places)

    def x(number: float) -> float:
        return round(TITLED.left + width * (number - places[0] + 0.5), 1)

    rows = {
        name: [
            (x(number), TITLED.y(value, ceiling)) for number, value in zip(places, row, strict=True)
        ]
        for name, row in series.items()
    }
    titles = [
        f"{x_title} {number}: " + ", ".join(f"{name} {row[at]:.3f}" for name, row in series.items())
        for at, number in enumerate(places)
    ]
    marked, says = mark
    every = max(1, math.ceil(len(places) / 10))
    right_title, factor = right
    return Chart(
        label,
        x_title,
        tuple(Tick(x(number), str(number)) for number in places[::every]),
        tuple(Tick(TITLED.y(step, ceiling), f"{step:g}") for step in steps),
        tuple(
            Series(colour, _line(row), is_area=False, name=name)
            for colour, (name, row) in enumerate(rows.items())
        ),
        _columns([x(number) for number in places], titles, TITLED),
        Mark(x(marked), TITLED.bottom - 10, says),
        TITLED,
        (y_title, right_title),
        tuple(Tick(TITLED.y(step, ceiling), f"{step * factor:g}") for step in steps if factor),
    )


def percent(share: float) -> str:
    """Return a share, 0..1, in percent."""
    return f"{100 * share:.1f} %"


def _line(places: Sequence[tuple[float, float]]) -> str:
    """Return a path through places; a single one becomes a dot."""
    through = [f"{across} {up}" for across, up in places]
    return "M" + "L".join(through if len(through) > 1 else through * 2)


def _columns(places: Sequence[float], titles: Sequence[str], plane: Plane) -> tuple[Column, ...]:
    """Return a column around each place, half the way to the next ones."""
    middles = [round((before + after) / 2, 1) for before, after in itertools.pairwise(places)]
    bounds = itertools.pairwise((plane.left, *middles, plane.right))
    return tuple(
        Column(start, round(end - start, 1), title)
        for (start, end), title in zip(bounds, titles, strict=True)
    )


def _axis(top: float) -> tuple[float, list[float]]:
    """Return the end of an axis from 0 that reaches `top`, and its ticks, six at most."""
    step = round_step(top)
    count = max(math.ceil(top / step - 1e-9), 1)
    return step * count, [step * part for part in range(count + 1)]


def round_step(top: float) -> float:
    """Return a step of 1, 2 or 5 times a power of ten of which five at most reach `top`."""
    if top < LEAST:
        return 1.0
    power = 10.0 ** math.floor(math.log10(top / 5))
    return next(power * digit for digit in (1, 2, 5, 10) if 5 * power * digit >= top * (1 - 1e-9))
