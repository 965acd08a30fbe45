"""Laws of likelihood, ranks and calibration."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tunesmith.components.evaluator.likelihood import (
    Figures,
    Scores,
    calibration,
    expected_calibration_error,
    score,
    score_rows,
)
from tunesmith.components.records.eval_windows import EvalWindows

SIZE = 7


class Uniform:
    def probabilities(self, windows: NDArray[np.int32]) -> NDArray[np.float64]:
        return np.full((len(windows), SIZE), 1 / SIZE)


class Oracle:
    """Knows that each token is one more than the last."""

    def probabilities(self, windows: NDArray[np.int32]) -> NDArray[np.float64]:
        return np.eye(SIZE)[(windows[:, -1] + 1) % SIZE]


def test_a_song_of_n_tokens_gives_n_windows_behind_rests() -> None:
    held = EvalWindows.of([np.array([3, 4, 5]), np.array([], dtype=int), np.array([6])], 2, (0,))
    ((windows, targets),) = held.batches()
    assert windows.tolist() == [[0, 0], [0, 3], [3, 4], [0, 0]]
    assert targets.tolist() == [3, 4, 5, 6]
    few = held.chosen(np.array([False, True, False, True]))
    assert [each.tolist() for each in next(few.batches())] == [[[0, 3], [0, 0]], [4, 6]]
    assert [len(targets) for _, targets in held.batches(3)] == [3, 1]
    assert len(EvalWindows.of([], 5, (0,))) == 0


def test_whoever_knows_nothing_loses_log_v_and_whoever_knows_all_nothing() -> None:
    songs = [np.arange(1, 40) % SIZE, np.arange(1, 10) % SIZE]
    done: list[int] = []
    unknowing = Figures.of(score(Uniform(), EvalWindows.of(songs, 4, (0,)), done.append))
    assert unknowing.nats == pytest.approx(math.log(SIZE))
    assert unknowing.perplexity == pytest.approx(SIZE)
    assert unknowing.windows == sum(done) == 48
    knowing = Figures.of(score(Oracle(), EvalWindows.of(songs, 4, (0,))))
    assert (knowing.nats, knowing.top1, knowing.perplexity) == (0, 1, 1)
    assert knowing.calibration_error == 0


def test_ranks_count_what_is_ahead_and_ties_go_to_the_smaller_token() -> None:
    rows = np.array([[0.1, 0.4, 0.4, 0.1], [0.25] * 4, [0.7, 0.1, 0.1, 0.1]])
    assert score_rows(rows, np.array([2, 3, 0], dtype=np.int32)).rank.tolist() == [1, 3, 0]
    figures = Figures.of(
        score_rows(np.tile(np.arange(8) / 28, (8, 1)), np.arange(8, dtype=np.int32))
    )
    assert (figures.top1, figures.top5) == (1 / 8, 5 / 8)


@pytest.mark.parametrize(("value", "shown"), [(0.0, math.inf), (math.nan, math.nan)])
def test_one_impossible_frame_makes_the_likelihood_infinite(value: float, shown: float) -> None:
    rows = np.array([[0.5, 0.5], [value, 1.0]])
    figures = Figures.of(score_rows(rows, np.zeros(2, dtype=np.int32)))
    np.testing.assert_equal(figures.nats, shown)
    assert figures.perplexity == math.inf
    assert sum(each.windows for each in figures.calibration) == 2


def drawn(rows: NDArray[np.float64], seed: int) -> NDArray[np.int32]:
    uniforms = np.random.default_rng(seed).random((len(rows), 1))
    return (rows.cumsum(axis=1) < uniforms).sum(axis=1).astype(np.int32)


def test_predictions_that_come_true_as_often_as_said_are_calibrated() -> None:
    rows = np.random.default_rng(1).dirichlet(np.full(SIZE, 0.4), 200_000)
    scores = score_rows(rows, drawn(rows, 2))
    assert expected_calibration_error(calibration(scores)) < 0.005
    # The mean of -log p is the entropy of what it was drawn from.
    entropy = -(rows * np.log(np.maximum(rows, 1e-300))).sum(axis=1).mean()
    assert Figures.of(scores).nats == pytest.approx(entropy, abs=0.01)


def test_overconfidence_shows_as_the_gap_that_it_is() -> None:
    rows = np.tile([0.9, 0.1], (100_000, 1))
    targets = drawn(np.tile([0.6, 0.4], (100_000, 1)), 3)
    table = calibration(score_rows(rows, targets))
    assert expected_calibration_error(table) == pytest.approx(0.3, abs=0.01)
    (used,) = [each for each in table if each.windows]
    assert used.low < 0.9 <= used.high
    assert used.confidence == pytest.approx(0.9)
    assert used.accuracy == pytest.approx(0.6, abs=0.01)


def test_a_bin_holds_its_upper_edge_and_not_its_lower() -> None:
    edges: NDArray[Any] = np.array([0.0, 0.25, 0.2500001, 0.5, 1.0])
    scores = Scores(edges, np.zeros(5, np.int64), edges, edges)
    assert [each.windows for each in calibration(scores, 4)] == [2, 2, 0, 1]
