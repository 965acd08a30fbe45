"""Sampling against its definitions: by law for any row, by chi-square for the draw."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from tunesmith.client import BadOption, Sampling
from tunesmith.client.filters import (
    FILTERS,
    MinP,
    RepetitionLimit,
    RestLimit,
    Temperature,
    TopK,
    TopP,
)
from tunesmith.client.request import DrawOptions
from tunesmith.client.sampling import Noise, apply, draw, start_stream

Rows = NDArray[np.float64]
Windows = NDArray[np.int64]

ROW = np.array([[0.4, 0.05, 0.3, 0.0, 0.2, 0.05]])
NO_WINDOWS = np.zeros((1, 0), dtype=np.int64)


@st.composite
def rows(draw_: st.DrawFn) -> Rows:
    """Probability rows, float64 [n, V], with zeros and ties among them."""
    shape = draw_(st.tuples(st.integers(1, 4), st.integers(1, 12)))
    weights = draw_(arrays(np.int64, shape, elements=st.integers(0, 20)))
    weights[:, 0] += weights.sum(axis=1) == 0
    return weights / weights.sum(axis=1, keepdims=True)


@st.composite
def answers(draw_: st.DrawFn) -> tuple[Rows, Windows]:
    """Probability rows and the windows that they answer, in which few tokens often repeat."""
    p = draw_(rows())
    few = st.integers(0, min(2, p.shape[1] - 1))
    return p, draw_(arrays(np.int64, (len(p), 6), elements=few))


@given(answers(), st.floats(0.0, 100.0), st.integers(1, 15), st.floats(0.001, 1.0), st.data())
def test_a_distribution_sums_to_one_and_gives_nothing_to_the_impossible(
    answer: tuple[Rows, Windows], temperature: float, k: int, top_p: float, data: st.DataObject
) -> None:
    p, windows = answer
    limits = st.none() | st.integers(1, 6)
    sampling = Sampling(temperature, k, top_p, data.draw(limits), data.draw(limits))
    result = sampling.distribution(p, windows)
    np.testing.assert_allclose(result.sum(axis=1), 1.0)
    assert (result >= 0).all()
    assert (result[p == 0] == 0).all()


@given(rows(), st.floats(0.05, 50.0))
def test_temperature_is_softmax_of_scaled_logits(p: Rows, temperature: float) -> None:
    for row, result in zip(p, Temperature(temperature)(p, NO_WINDOWS), strict=True):
        best = max(row)
        powers = [(value / best) ** (1 / temperature) for value in row]
        np.testing.assert_allclose(result, np.array(powers) / math.fsum(powers), atol=1e-12)


@pytest.mark.parametrize("temperature", [0.0, 1e-320, 1e-9])
def test_temperature_at_or_near_zero_is_greedy(temperature: float) -> None:
    assert Temperature(temperature)(ROW, NO_WINDOWS).tolist() == [[1, 0, 0, 0, 0, 0]]


def test_a_greedy_tie_goes_to_the_more_frequent_frame() -> None:
    tied = np.array([[0.2, 0.4, 0.4]])
    assert Temperature(0)(tied, NO_WINDOWS).tolist() == [[0, 1, 0]]
    assert TopK(1)(tied, NO_WINDOWS).tolist() == [[0, 1, 0]]


def test_temperature_one_keeps_the_row() -> None:
    np.testing.assert_allclose(Temperature(1)(ROW, NO_WINDOWS), ROW, rtol=1e-15)


@given(rows(), st.integers(1, 15))
def test_top_k_keeps_the_k_most_probable_in_proportion(p: Rows, k: int) -> None:
    for row, result in zip(p, TopK(k)(p, NO_WINDOWS), strict=True):
        best = sorted(range(len(row)), key=lambda token: (-row[token], token))[:k]
        expected = np.zeros_like(row)
        expected[best] = row[best] / math.fsum(row[best])
        np.testing.assert_allclose(result, expected)


@given(rows(), st.floats(0.001, 1.0))
def test_the_nucleus_is_the_smallest_set_that_reaches_p(p: Rows, top_p: float) -> None:
    for row, result in zip(p, TopP(top_p)(p, NO_WINDOWS), strict=True):
        kept = np.flatnonzero(result)
        assert row[kept].sum() >= top_p - 1e-12
        assert row[kept].sum() - row[kept].min() < top_p + 1e-12
        left_out = np.delete(row, kept)
        assert left_out.max(initial=0) <= row[kept].min()
        np.testing.assert_allclose(result[kept], row[kept] / row[kept].sum())


def test_the_nucleus_of_a_known_row() -> None:
    np.testing.assert_allclose(TopP(0.4)(ROW, NO_WINDOWS), [[1, 0, 0, 0, 0, 0]])
    np.testing.assert_allclose(TopP(0.41)(ROW, NO_WINDOWS), [[4 / 7, 0, 3 / 7, 0, 0, 0]])


@given(rows(), st.floats(0.0, 1.0))
def test_min_p_keeps_what_comes_up_to_a_share_of_the_most_probable(p: Rows, share: float) -> None:
    for row, result in zip(p, MinP(share)(p, NO_WINDOWS), strict=True):
        kept = [value if value >= share * max(row) else 0.0 for value in row]
        np.testing.assert_allclose(result, np.array(kept) / math.fsum(kept), atol=1e-15)


def test_min_p_of_a_known_row() -> None:
    np.testing.assert_allclose(MinP(0.5)(ROW, NO_WINDOWS), [[4 / 9, 0, 3 / 9, 0, 2 / 9, 0]])
    np.testing.assert_allclose(MinP(0.51)(ROW, NO_WINDOWS), [[4 / 7, 0, 3 / 7, 0, 0, 0]])
    assert MinP(1.0)(np.array([[0.4, 0.4, 0.2]]), NO_WINDOWS).tolist() == [[0.5, 0.5, 0]]
    assert MinP(0.0)(ROW, NO_WINDOWS) is ROW


@given(answers(), st.integers(1, 6))
def test_a_repetition_limit_forbids_what_has_sounded_so_often_and_nothing_else(
    answer: tuple[Rows, Windows], longest: int
) -> None:
    p, windows = answer
    limited = RepetitionLimit(longest)(p, windows)
    for row, window, result in zip(p, windows, limited, strict=True):
        last = int(window[-1])
        over = last != 0 and set(window[-longest:].tolist()) == {last}
        expected = np.where(np.arange(len(row)) == last, 0.0, row) if over else row
        expected = expected if expected.sum() > 0 else row
        np.testing.assert_allclose(result, expected / expected.sum())


@given(answers(), st.integers(1, 6))
def test_a_rest_limit_forbids_the_rest_after_so_many_and_nothing_else(
    answer: tuple[Rows, Windows], longest: int
) -> None:
    p, windows = answer
    limited = RestLimit(longest)(p, windows)
    for row, window, result in zip(p, windows, limited, strict=True):
        over = not window[-longest:].any()
        expected = np.where(np.arange(len(row)) == 0, 0.0, row) if over else row
        expected = expected if expected.sum() > 0 else row
        np.testing.assert_allclose(result, expected / expected.sum())


def test_a_limit_that_would_leave_nothing_gives_way() -> None:
    only_the_rest = np.array([[1.0, 0.0], [0.5, 0.5]])
    silence = np.zeros((2, 4), dtype=np.int64)
    assert RestLimit(2)(only_the_rest, silence).tolist() == [[1, 0], [0, 1]]
    one_frame = np.array([[1.0]])
    assert RestLimit(1)(one_frame, silence[:1]).tolist() == [[1]]


def test_a_limit_longer_than_the_window_cannot_be_kept() -> None:
    silence = np.zeros((1, 4), dtype=np.int64)
    assert RestLimit(4)(ROW, silence)[0, 0] == 0
    with pytest.raises(BadOption, match="max_rests must be at most 4"):
        RestLimit(5)(ROW, silence)
    with pytest.raises(BadOption, match="max_repeats must be at most 4"):
        Sampling(max_repeats=5).distribution(ROW, silence)


def test_the_chain_is_limits_temperature_top_k_top_p_min_p() -> None:
    sampling = Sampling(0.5, 3, 0.9, max_repeats=4, max_rests=2, min_p=0.1)
    expected = (RepetitionLimit(4), RestLimit(2), Temperature(0.5), TopK(3), TopP(0.9), MinP(0.1))
    assert sampling.chain == expected
    window = np.array([[1, 2, 0, 0]])
    by_hand = ROW
    for each in expected:
        by_hand = each(by_hand, window)
    np.testing.assert_allclose(sampling(ROW, window), by_hand)
    # What a limit forbids takes no place among the three most probable.
    assert np.flatnonzero(Sampling(top_k=3, max_rests=2)(ROW, window)).tolist() == [1, 2, 4]


def test_a_filter_of_ones_own_joins_the_chain() -> None:
    def no_lowest(p: Rows, windows: Windows) -> Rows:
        del windows
        return np.where(np.arange(p.shape[1]) == 0, 0.0, p)

    result = apply([no_lowest, TopK(1)], ROW, NO_WINDOWS)
    assert result.tolist() == [[0, 0, 1, 0, 0, 0]]


@pytest.mark.parametrize("spoilt", [0.0, -1.0, math.nan], ids=str)
def test_a_filter_that_leaves_no_probabilities_is_named(spoilt: float) -> None:
    def broken(p: Rows, _: Windows) -> Rows:
        return p * spoilt

    with pytest.raises(BadOption, match="broken"):
        apply([broken], ROW, NO_WINDOWS)


# The 99.9 % quantiles of chi-square by degrees of freedom (NIST/SEMATECH e-Handbook of Statistical
# Methods, 1.3.6.7.4); seeds are fixed, so nothing flickers.
CHI_SQUARE = {1: 10.828, 2: 13.816, 3: 16.266, 4: 18.467, 5: 20.515}


def statistic(seen: NDArray[np.int64], expected: Rows) -> float:
    """Return Pearson's chi-square of counts against the probabilities of a row."""
    wanted = expected * seen.sum()
    assert (seen[expected == 0] == 0).all()
    return float(((seen - wanted) ** 2)[expected > 0] @ (1 / wanted[expected > 0]))


SAMPLINGS = [
    Sampling(),
    Sampling(temperature=0.5),
    Sampling(temperature=2.0),
    Sampling(top_k=3),
    Sampling(top_p=0.85),
    Sampling(max_repeats=2),
    Sampling(max_rests=3),
    Sampling(temperature=1.5, top_k=4, top_p=0.8, max_repeats=2, max_rests=3),
]


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
@pytest.mark.parametrize("window", [[1, 4, 4], [0, 0, 0]], ids=["repeating", "resting"])
def test_draws_follow_the_distribution(sampling: Sampling, window: list[int]) -> None:
    count = 40_000
    expected = sampling.distribution(ROW, np.array([window]))[0]
    noise = Noise(11, 0, ROW.shape[1]).steps(0, count)
    seen = np.bincount(draw(np.tile(expected, (count, 1)), noise), minlength=len(expected))
    assert statistic(seen, expected) < CHI_SQUARE[(expected > 0).sum() - 1]


def test_draws_of_two_steps_are_independent() -> None:
    count = 40_000
    noise = Noise(12, 3, ROW.shape[1]).steps(0, 2 * count)
    tokens = draw(np.tile(ROW[0], (2 * count, 1)), noise).reshape(count, 2)
    possible = np.flatnonzero(ROW[0])
    pairs = np.zeros((6, 6), dtype=np.int64)
    np.add.at(pairs, (tokens[:, 0], tokens[:, 1]), 1)
    joint = np.outer(ROW[0], ROW[0])
    seen = pairs[np.ix_(possible, possible)].ravel()
    # 24 degrees of freedom: 51.179 (the same table).
    assert statistic(seen, joint[np.ix_(possible, possible)].ravel()) < 51.179


@given(rows(), st.data())
def test_a_race_is_won_by_the_earliest_that_can_arrive(p: Rows, data: st.DataObject) -> None:
    noise = data.draw(arrays(np.float64, p.shape, elements=st.floats(0, 40)))
    for row, times, token in zip(p, noise, draw(p, noise), strict=True):
        arrivals = {i: times[i] / row[i] for i in range(len(row)) if row[i] > 0}
        assert token == min(arrivals, key=lambda i: (arrivals[i], i))


def test_noise_is_standard_exponential() -> None:
    values = Noise(5, 1, 100).steps(0, 400).ravel()
    # Ten cells of equal probability: 9 degrees of freedom, 27.877 (the same table).
    cells = np.floor(10 * -np.expm1(-values)).astype(np.int64)
    assert statistic(np.bincount(cells, minlength=10), np.full(10, 0.1)) < 27.877


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 5)), max_size=8))
def test_noise_follows_from_the_step_alone(asked: list[tuple[int, int]]) -> None:
    whole = Noise(7, 2, 3).steps(0, 70)
    noise = Noise(7, 2, 3)
    for first, count in asked:
        assert noise.steps(first, count).tolist() == whole[first : first + count].tolist()


def test_songs_and_seeds_have_noise_of_their_own() -> None:
    firsts = {
        float(Noise(seed, index, 1).steps(0)[0, 0]) for seed in range(20) for index in range(20)
    }
    starts = {-np.log1p(-start_stream(seed, 0).random()) for seed in range(20)}
    assert len(firsts | starts) == 420


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
        {"max_repeats": 0},
        {"max_rests": 0},
        {"min_p": -0.1},
        {"min_p": 1.01},
        {"min_p": math.nan},
    ],
    ids=str,
)
def test_an_option_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(BadOption, match=next(iter(wrong))):
        Sampling(**wrong)


def test_what_is_wrong_with_a_value_is_said_by_its_range() -> None:
    problems = {each.option.keyword: each.option.problem(-3) for each in FILTERS}
    assert problems["top_k"] == "must be at least 1, not -3"
    assert problems["top_p"] == "must be above 0 and at most 1, not -3"
    assert problems["temperature"] == "must be at least 0, not -3"
    assert TopP.option.problem(0.5) is None
    assert Temperature.option.problem(math.inf) == "must be a finite number, not inf"


def test_every_filter_has_a_typed_argument() -> None:
    keywords = {each.option.keyword for each in FILTERS}
    assert {field.name for field in dataclasses.fields(Sampling)} == keywords
    assert keywords <= DrawOptions.__annotations__.keys()


def test_what_differs_from_the_models_distribution_is_told() -> None:
    assert Sampling().facts() == []
    sampling = Sampling(0.9, 3, 0.95, max_repeats=4, max_rests=2, min_p=0.05)
    assert sampling.facts() == [
        *("temperature 0.9", "top-k 3", "top-p 0.95"),
        *("max-repeats 4", "max-rests 2", "min-p 0.05"),
    ]


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(BadOption, match="seed must be at least 0"):
        Noise(-1, 0, 5)
