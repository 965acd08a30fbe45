"""Sampling against its definitions: by law for any row, by chi-square for the draw."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from tunesmith.client import BadOption, Sampling
from tunesmith.client.sampling import (
    draw,
    keep_top_k,
    keep_top_p,
    song_streams,
    with_temperature,
)

Rows = NDArray[np.float64]

ROW = np.array([[0.4, 0.05, 0.3, 0.0, 0.2, 0.05]])


@st.composite
def rows(draw_: st.DrawFn) -> Rows:
    """Probability rows, float64 [n, V], with zeros and ties among them."""
    shape = draw_(st.tuples(st.integers(1, 4), st.integers(1, 12)))
    weights = draw_(arrays(np.int64, shape, elements=st.integers(0, 20)))
    weights[:, 0] += weights.sum(axis=1) == 0
    return weights / weights.sum(axis=1, keepdims=True)


@given(rows(), st.floats(0.0, 100.0), st.integers(1, 15), st.floats(0.001, 1.0))
def test_a_distribution_sums_to_one_and_gives_nothing_to_the_impossible(
    p: Rows, temperature: float, k: int, top_p: float
) -> None:
    result = Sampling(temperature, k, top_p).distribution(p)
    np.testing.assert_allclose(result.sum(axis=1), 1.0)
    assert (result >= 0).all()
    assert (result[p == 0] == 0).all()


@given(rows(), st.floats(0.05, 50.0))
def test_temperature_is_softmax_of_scaled_logits(p: Rows, temperature: float) -> None:
    for row, result in zip(p, with_temperature(p, temperature), strict=True):
        best = max(row)
        powers = [(value / best) ** (1 / temperature) for value in row]
        np.testing.assert_allclose(result, np.array(powers) / math.fsum(powers), atol=1e-12)


@pytest.mark.parametrize("temperature", [0.0, 1e-320, 1e-9])
def test_temperature_at_or_near_zero_is_greedy(temperature: float) -> None:
    assert with_temperature(ROW, temperature).tolist() == [[1, 0, 0, 0, 0, 0]]


def test_a_greedy_tie_goes_to_the_more_frequent_frame() -> None:
    assert with_temperature(np.array([[0.2, 0.4, 0.4]]), 0).tolist() == [[0, 1, 0]]


def test_temperature_one_keeps_the_row() -> None:
    np.testing.assert_allclose(with_temperature(ROW, 1), ROW, rtol=1e-15)


@given(rows(), st.integers(1, 15))
def test_top_k_keeps_the_k_most_probable_in_proportion(p: Rows, k: int) -> None:
    for row, result in zip(p, keep_top_k(p, k), strict=True):
        best = sorted(range(len(row)), key=lambda token: (-row[token], token))[:k]
        expected = np.zeros_like(row)
        expected[best] = row[best] / math.fsum(row[best])
        np.testing.assert_allclose(result, expected)


@given(rows(), st.floats(0.001, 1.0))
def test_the_nucleus_is_the_smallest_set_that_reaches_p(p: Rows, top_p: float) -> None:
    for row, result in zip(p, keep_top_p(p, top_p), strict=True):
        kept = np.flatnonzero(result)
        assert row[kept].sum() >= top_p - 1e-12
        assert row[kept].sum() - row[kept].min() < top_p + 1e-12
        left_out = np.delete(row, kept)
        assert left_out.max(initial=0) <= row[kept].min()
        np.testing.assert_allclose(result[kept], row[kept] / row[kept].sum())


def test_the_nucleus_of_a_known_row() -> None:
    np.testing.assert_allclose(keep_top_p(ROW, 0.4), [[1, 0, 0, 0, 0, 0]])
    np.testing.assert_allclose(keep_top_p(ROW, 0.41), [[4 / 7, 0, 3 / 7, 0, 0, 0]])


# The 99.9 % quantiles of chi-square by degrees of freedom; seeds are fixed, so nothing flickers.
CHI_SQUARE = {1: 10.83, 2: 13.82, 3: 16.27, 4: 18.47, 5: 20.52}


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(),
        Sampling(temperature=0.5),
        Sampling(temperature=2.0),
        Sampling(top_k=3),
        Sampling(top_p=0.85),
        Sampling(temperature=1.5, top_k=4, top_p=0.8),
    ],
    ids=str,
)
def test_draws_follow_the_distribution(sampling: Sampling) -> None:
    count = 40_000
    expected = sampling.distribution(ROW)[0]
    [stream] = song_streams(11, 1)
    tokens = draw(np.tile(expected, (count, 1)), stream.random(count))
    seen = np.bincount(tokens, minlength=len(expected))
    possible = expected > 0
    assert (seen[~possible] == 0).all()
    wanted = expected[possible] * count
    statistic = ((seen[possible] - wanted) ** 2 / wanted).sum()
    assert statistic < CHI_SQUARE[possible.sum() - 1]


@given(rows(), st.floats(0, 1, exclude_max=True))
def test_a_draw_inverts_the_cumulative_distribution(p: Rows, uniform: float) -> None:
    for row, token in zip(p, draw(p, np.full(len(p), uniform)), strict=True):
        assert row[token] > 0
        assert row[:token].sum() <= uniform + 1e-12
        assert uniform < row[: token + 1].sum() + 1e-12


def test_the_largest_uniform_draws_the_last_possible_token() -> None:
    largest = np.array([np.nextafter(1.0, 0.0)])
    for scale in np.linspace(0.1, 3, 500):
        assert draw(np.array([[0.3, 0.7, 0.0]]) * scale, largest).tolist() == [1]


def test_a_stream_depends_on_seed_and_index_alone() -> None:
    few, many = song_streams(5, 3), song_streams(5, 100)
    for one, other in zip(few, many, strict=False):
        assert one.random(8).tolist() == other.random(8).tolist()
    firsts = {stream.random() for seed in range(20) for stream in song_streams(seed, 20)}
    assert len(firsts) == 400


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -0.1},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"top_k": 0},
        {"top_p": 0.0},
        {"top_p": 1.01},
        {"top_p": math.nan},
    ],
    ids=str,
)
def test_an_option_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(BadOption, match=next(iter(wrong))):
        Sampling(**wrong)
