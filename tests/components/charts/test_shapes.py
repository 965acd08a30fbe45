"""The shapes of charts: they stay in their plane and are as high as their shares say."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tunesmith.components.charts.shapes import LEAST, PLANE, TITLED, Chart, curve, histogram, lines

shares = st.lists(st.floats(0, 1), min_size=1, max_size=30)


def draw(series: dict[str, list[float]]) -> Chart | None:
    shown = range(max(map(len, series.values())))
    return histogram("label", "value", series, shown, str, {0: "none"})


def heights(path: str) -> list[float]:
    """The share of the plane's height that each step of an outline reaches."""
    tops = [float(top) for top in re.findall(r"V([\d.]+)H", path)]
    return [(PLANE.bottom - top) / (PLANE.bottom - PLANE.top) for top in tops]


def test_steps_are_as_high_as_their_shares() -> None:
    chart = draw({"one": [0.0, 0.4, 0.2], "two": [0.1]})
    assert chart
    assert [tick.label for tick in chart.y_ticks] == ["0 %", "10 %", "20 %", "30 %", "40 %"]
    area, line = chart.series
    assert (area.is_area, line.is_area, area.colour, line.colour) == (True, False, 0, 1)
    assert heights(area.path) == [0.0, 1.0, 0.5]
    assert heights(line.path) == [0.25, 0.0, 0.0]


def test_columns_tell_the_values_and_fill_the_axis() -> None:
    chart = draw({"one": [0.0, 0.5], "two": [0.25, 0.0]})
    assert chart
    assert [column.title for column in chart.columns] == [
        "0: one 0.0 %, two 25.0 %",
        "1: one 50.0 %, two 0.0 %",
    ]
    assert chart.columns[0].x == PLANE.left
    assert chart.columns[-1].x + chart.columns[-1].width == PLANE.right


def test_an_empty_series_leaves_the_colours_of_the_others() -> None:
    chart = draw({"one": [0.0, 0.5], "none": [], "three": [0.25]})
    assert chart
    assert [series.colour for series in chart.series] == [0, 2]


@pytest.mark.parametrize("series", [{}, {"one": []}, {"one": [0.0]}])
def test_where_nothing_was_counted_nothing_is_drawn(series: dict[str, list[float]]) -> None:
    assert histogram("label", "value", series, range(1), str, {}) is None


@given(shares, shares)
@example([5e-324], [0.0])
@example([2e-12], [0.0])
def test_every_step_lies_between_few_round_ticks(one: list[float], two: list[float]) -> None:
    chart = draw({"one": one, "two": two})
    if chart is None:
        assert max(one + two) < LEAST
        return
    assert 2 <= len(chart.y_ticks) <= 6
    assert chart.y_ticks[0].at == PLANE.bottom
    assert chart.y_ticks[-1].at == PLANE.top
    for series in chart.series:
        assert all(0 <= height <= 1 for height in heights(series.path))
    # The axis is no higher than it must be.
    assert max(height for series in chart.series for height in heights(series.path)) > 0.49


def test_a_curve_goes_through_its_points_on_a_logarithmic_axis() -> None:
    points = [(1, 0.0), (10, 0.25), (100, 1.0)]
    chart = curve("label", "value", points, str, (10, "here"))
    middle = (PLANE.left + PLANE.right) / 2
    quarter = PLANE.y(0.25)
    assert chart.series[0].path == (
        f"M{float(PLANE.left)} {float(PLANE.bottom)}L{middle} {quarter}"
        f"L{float(PLANE.right)} {float(PLANE.top)}"
    )
    assert chart.mark
    assert (chart.mark.x, chart.mark.label) == (middle, "here")
    assert [(tick.at, tick.label) for tick in chart.x_ticks] == [
        (PLANE.left, "1"),
        (middle, "10"),
        (PLANE.right, "100"),
    ]
    assert [column.title for column in chart.columns] == ["1: 0.0 %", "10: 25.0 %", "100: 100.0 %"]


def test_a_curve_of_one_point_stays_in_the_plane() -> None:
    chart = curve("label", "value", [(1, 1.0)], str, (1, "here"))
    place = f"{float(PLANE.left)} {float(PLANE.top)}"
    assert chart.series[0].path == f"M{place}L{place}"
    assert [(each.x, each.width) for each in chart.columns] == [
        (PLANE.left, PLANE.right - PLANE.left)
    ]


def test_lines_rise_from_0_and_are_named() -> None:
    series = {"one": [4.0, 2.0, 1.0], "two": [3.0, 3.0, 0.0]}
    chart = lines("label", "epoch", "nats", [1, 2, 3], series, (2, "kept"), ("sum", 64))
    assert [tick.label for tick in chart.y_ticks] == ["0", "1", "2", "3", "4"]
    assert [tick.label for tick in chart.right_ticks] == ["0", "64", "128", "192", "256"]
    assert [tick.at for tick in chart.right_ticks] == [tick.at for tick in chart.y_ticks]
    assert [tick.label for tick in chart.x_ticks] == ["1", "2", "3"]
    assert chart.y_titles == ("nats", "sum")
    assert [(each.name, each.colour) for each in chart.series] == [("one", 0), ("two", 1)]
    first, second, third = (tick.at for tick in chart.x_ticks)
    middle = (TITLED.top + TITLED.bottom) / 2
    assert chart.series[0].path == (
        f"M{first} {float(TITLED.top)}L{second} {middle}L{third} {TITLED.y(0.25)}"
    )
    assert chart.mark
    assert (chart.mark.x, chart.mark.label) == (second, "kept")
    assert chart.columns[0].title == "epoch 1: one 4.000, two 3.000"
    assert chart.columns[0].x == TITLED.left
    assert chart.columns[-1].x + chart.columns[-1].width == pytest.approx(TITLED.right)


def test_lines_of_one_number_are_dots() -> None:
    chart = lines("label", "epoch", "nats", [7], {"one": [2.0]}, (7, "kept"))
    place = f"{(TITLED.left + TITLED.right) / 2} {float(TITLED.top)}"
    assert chart.series[0].path == f"M{place}L{place}"
    assert chart.right_ticks == ()


def test_many_numbers_have_few_ticks() -> None:
    chart = lines("label", "epoch", "nats", range(1, 51), {"one": [1.0] * 50}, (3, "kept"))
    assert [tick.label for tick in chart.x_ticks][:3] == ["1", "6", "11"]


def test_lines_at_0_have_an_axis() -> None:
    chart = lines("label", "epoch", "nats", [1, 2], {"one": [0.0, 0.0]}, (1, "kept"))
    assert [tick.label for tick in chart.y_ticks] == ["0", "1"]
