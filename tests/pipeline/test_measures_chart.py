"""The chart of the model's songs compared with the corpus."""

from __future__ import annotations

from typing import Any

from tunesmith.pipeline.measures_chart import LEFT, RIGHT, measure_rows


def measured(values: list[float | None], **corpus: float | None) -> dict[str, Any]:
    return {"unit": "share", "model": {"values": values}, "corpus": corpus}


QUANTILES = {"low": 0.1, "lower_quartile": 0.2, "median": 0.3, "upper_quartile": 0.4}


def test_each_measure_has_a_row_and_each_song_a_dot() -> None:
    music = {
        "rest_share": measured([0.1, 0.9, 0.5], **QUANTILES, high=0.6),
        # Of a silent song there is no value, and older evaluations know no quartiles.
        "leap_share": measured([0.1, None], low=0.1, median=0.3, high=0.6),
        "pitch_range": measured([], low=None, median=None, high=None),
    }
    rows = measure_rows(music)
    assert [row.name for row in rows] == ["rest share", "leap share", "pitch range"]
    assert [len(row.dots) for row in rows] == [3, 1, 0]
    assert [[bar.is_middle for bar in row.bars] for row in rows] == [[False, True], [False], []]
    assert [row.median is None for row in rows] == [False, False, True]
    assert rows[2].ticks == ()


def test_a_row_is_as_wide_as_its_songs_and_its_corpus() -> None:
    (row,) = measure_rows({"rest_share": measured([0.2, 0.2, 0.7], **QUANTILES, high=0.5)})
    low, quartile = row.bars[0].x, row.bars[1].x
    first, second, third = row.dots
    assert LEFT < low < quartile == first.x == second.x < third.x < RIGHT
    # Songs of one value are beside each other.
    assert first.y != second.y
    assert [tick.label for tick in row.ticks] == ["0.2", "0.4", "0.6"]
    assert third.title == "0.7"


def test_a_measure_of_one_value_has_a_row() -> None:
    (row,) = measure_rows({"rest_share": measured([3.0], low=3.0, median=3.0, high=3.0)})
    assert [tick.label for tick in row.ticks] == ["3"]
    assert row.bars[0].width == 0
