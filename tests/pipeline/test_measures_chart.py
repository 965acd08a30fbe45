"""The chart of the model's songs beside the corpus."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from tunesmith.pipeline.measures_chart import draw_measures


def measured(values: list[float | None], **corpus: float | None) -> dict[str, Any]:
    return {"unit": "share", "model": {"values": values}, "corpus": corpus}


def test_each_measure_has_a_row_and_each_song_a_dot() -> None:
    quantiles = {"low": 0.1, "lower_quartile": 0.2, "median": 0.3, "upper_quartile": 0.4}
    music = {
        "rest_share": measured([0.1, 0.9, 0.5], **quantiles, high=0.6),
        # Of a silent song there is no value, and older evaluations know no quartiles.
        "leap_share": measured([0.1, None], low=0.1, median=0.3, high=0.6),
        "pitch_range": measured([], low=None, median=None, high=None),
    }
    figure = Figure()
    draw_measures(figure, music)
    rows = {axes.get_yticklabels()[0].get_text(): axes for axes in figure.axes}
    assert list(rows) == ["rest share", "leap share", "pitch range"]
    assert [len(axes.lines[-1].get_xdata()) for axes in figure.axes] == [3, 1, 0]
    assert [len(axes.patches) for axes in figure.axes] == [2, 1, 0]
