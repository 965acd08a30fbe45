"""Charts as SVG: well formed, drawn with its colours, and free of markup in names."""

from __future__ import annotations

from xml.etree import ElementTree

from tunesmith.components.charts.shapes import histogram, lines
from tunesmith.components.charts.svg import COLOURS, draw


def test_a_chart_is_drawn_with_its_series_in_turn() -> None:
    series = {str(number): [0.5, 0.25] for number in range(5)}
    chart = histogram("a label", "value", series, range(2), str, {})
    assert chart is not None
    root = ElementTree.fromstring(draw(chart))
    assert root.attrib["aria-label"] == "a label"
    drawn = {series.path: series.colour for series in chart.series}
    paths = [each for each in root.iter("path") if each.attrib["d"] in drawn]
    assert paths[0].attrib["fill"] == COLOURS[0]
    assert [each.attrib["stroke"] for each in paths[1:]] == [*COLOURS[1:], COLOURS[0]]


def test_lines_have_a_legend_titles_and_values_to_point_at() -> None:
    series = {"training": [2.0, 1.0], "set aside": [2.5, 2.0]}
    chart = lines("label", "epoch", "nats", [1, 2], series, (2, "kept"), ("sum", 10))
    root = ElementTree.fromstring(draw(chart))
    texts = [each.text for each in root.iter("text")]
    assert {"training", "set aside", "nats", "sum", "epoch", "kept", "25"} <= set(texts)
    assert [each.text for each in root.iter("title")] == [
        "epoch 1: training 2.000, set aside 2.500",
        "epoch 2: training 1.000, set aside 2.000",
    ]


def test_names_are_escaped() -> None:
    chart = lines("<b>", "<b>", "<b>", [1], {"<b>": [1.0]}, (1, "<b>"), ("<b>", 1))
    root = ElementTree.fromstring(draw(chart))
    assert root.find(".//b") is None
    assert "<b>" not in draw(chart)
