"""Charts as shapes: what a page draws as SVG, computed without a drawing library.

A template writes the shapes; see ``templates/statistics.html``. Importing a drawing library would
take longer than all of a report does.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Plane:
    """Where a chart lies in its view box; a unit is about a pixel on a wide screen."""

    width: int = 480
    height: int = 270
    left: int = 50
    right: int = 460
    top: int = 14
    bottom: int = 226

    def y(self, share: float, ceiling: float = 1.0) -> float:
        """Return the height of `share` where the y axis goes from 0 to `ceiling`."""
        return round(self.bottom - (self.bottom - self.top) * share / ceiling, 1)


PLANE = Plane()


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis, in units of the view box."""

    at: float
    label: str


@dataclass(frozen=True)
class Column:
    """A part of the x axis that tells its values when it is pointed at."""

    x: float
    width: float
    title: str


@dataclass(frozen=True)
class Series:
    """A line, or the outline of an area that the x axis closes.

    Args:
        colour: which of the page's colours.
        path: SVG path data.
        is_area: whether to fill it.
    """

    colour: int
    path: str
    is_area: bool


@dataclass(frozen=True)
class Mark:
    """A vertical line, and what it says beside it at the height `y`."""

    x: float
    y: float
    label: str


@dataclass(frozen=True)
class Chart:
    """What the template draws.

    Args:
        label: what is seen, for those who do not see it.
        x_title: what the x axis counts, with its unit.
        series: what is drawn, the first one lowest.
        columns: what is told of the parts of the x axis.
        mark: a place on the x axis worth a line.
    """

    label: str
    x_title: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    series: tuple[Series, ...]
    columns: tuple[Column, ...]
    mark: Mark | None = None


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
    if not top:
        return None
    step = _round_step(top)
    ceiling = step * math.ceil(top / step - 1e-9)
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
        tuple(
            Tick(PLANE.y(step * part, ceiling), f"{100 * step * part:g} %")
            for part in range(round(ceiling / step) + 1)
        ),
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
    # Each point tells its value as far as half the way to the next.
    middles = [(before + after) / 2 for (before, _), (after, _) in itertools.pairwise(places)]
    bounds = itertools.pairwise((PLANE.left, *middles, PLANE.right))
    columns = tuple(
        Column(start, round(end - start, 1), f"{value_name(value)}: {percent(share)}")
        for (start, end), (value, share) in zip(bounds, points, strict=True)
    )
    marked, says = mark
    # The words stand on the inner side of the line, above a low curve or below a high one.
    is_above = x(marked) > PLANE.width / 2 and dict(points)[marked] < 0.5
    return Chart(
        label,
        x_title,
        tuple(Tick(x(10**power), f"{10**power:,}") for power in range(math.floor(decades) + 1)),
        tuple(Tick(PLANE.y(part / 4), f"{25 * part} %") for part in range(5)),
        (Series(0, "M" + "L".join(f"{across} {up}" for across, up in places), is_area=False),),
        columns,
        Mark(x(marked), PLANE.top + 12 if is_above else PLANE.bottom - 10, says),
    )


def percent(share: float) -> str:
    """Return a share, 0..1, in percent."""
    return f"{100 * share:.1f} %"


def _round_step(top: float) -> float:
    """Return a step of 1, 2 or 5 times a power of ten that reaches `top` in five at most."""
    power = 10.0 ** math.floor(math.log10(top / 5))
    return next(power * digit for digit in (1, 2, 5, 10) if 5 * power * digit >= top * (1 - 1e-9))
