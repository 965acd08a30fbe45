"""Composed songs beside those of the corpus."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tunesmith.components.evaluator.song_measures import describe_music, median_error
from tunesmith.music import Vocabulary

VOCABULARY = Vocabulary(((), (60,), (62,), (64,)), 5.0)


def song(rests: int, length: int = 20) -> np.ndarray[Any, np.dtype[np.int32]]:
    """A song that begins with notes and ends with rests."""
    sounding = [1 + place % 3 for place in range(length - rests)]
    return np.array(sounding + [0] * rests, dtype=np.int32)


def described(model_rests: list[int]) -> dict[str, Any]:
    corpus = [song(rests) for rests in range(11)]
    return describe_music(
        VOCABULARY, [song(each) for each in model_rests], corpus, corpus, [song(3)], 20, 5
    )


def test_the_corpus_is_told_by_its_quantiles() -> None:
    corpus = described([5])["rest_share"]["corpus"]
    names = ("low", "lower_quartile", "median", "upper_quartile", "high")
    assert [corpus[name] for name in names] == pytest.approx([0.025, 0.125, 0.25, 0.375, 0.475])
    assert (corpus["of"], corpus["songs"]) == ("train", 11)


def test_songs_within_the_corpus_are_counted() -> None:
    model = described([5, 5, 9, 10, 0, 20])["rest_share"]["model"]
    assert model["within"] == 3
    assert model["values"] == pytest.approx([0.25, 0.25, 0.45, 0.5, 0, 1])
    assert (model["mean"], model["median"]) == pytest.approx((2.45 / 6, 0.35))


def test_a_song_without_a_value_is_not_within() -> None:
    model = described([20, 5])["one_frame_note_share"]["model"]
    assert np.isnan(model["values"][0])
    assert (model["within"], model["mean"]) == (1, 1)
    silent = described([20])["one_frame_note_share"]["model"]
    assert (silent["within"], silent["median"], silent["median_within"]) == (0, None, None)


@pytest.mark.parametrize(("rests", "passed"), [(5, True), (8, True), (10, False), (0, False)])
def test_the_median_song_lies_in_the_middle_of_the_corpus_or_not(rests: int, passed: bool) -> None:
    found = described([rests] * 3)["rest_share"]
    # Half of the songs lie between 2.5 and 7.5 rests, and the median is known to within one.
    assert 0 < found["corpus"]["median_error"] < 0.1
    assert found["model"]["median_within"] is passed


def test_without_songs_of_the_model_the_corpus_is_described_all_the_same() -> None:
    found = described([])
    assert found["rest_share"]["model"]["within"] is None
    assert found["rest_share"]["corpus"]["median"] == pytest.approx(0.25)


def test_what_the_paper_complained_of_comes_first() -> None:
    assert next(iter(described([5]))) == "one_frame_note_share"


def test_the_error_of_the_median_is_that_of_theory_and_always_the_same() -> None:
    values = np.random.default_rng(3).normal(size=400)
    # sqrt(pi / 2) times the error of the mean, for the normal distribution.
    assert median_error(values) == pytest.approx(np.sqrt(np.pi / 2 / 400), rel=0.35)
    assert median_error(values) == median_error(values)
    assert median_error(np.ones(5)) == 0
