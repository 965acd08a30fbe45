"""Figures of a predictor on held-out songs: likelihood, accuracy, calibration.

Every window of every song is scored, in the same way for the exported model, the served one and the
baselines. numpy alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.records.eval_windows import EvalWindows, Tokens

CALIBRATION_BINS = 15
"""Number of equal bins of confidence, as in Guo et al. 2017 (section 4)."""

Probabilities = NDArray[np.floating[Any]]


class Predictor(Protocol):
    """A predictor of the next token."""

    def probabilities(self, windows: Tokens) -> Probabilities:
        """Return [n, V], rows that sum to one, for windows int32 [n, window], oldest first."""


class Scores(NamedTuple):
    """The scores of a predictor, one for each window.

    Attributes:
        nats: float64 [n], minus the natural logarithm of the target's probability.
        rank: int64 [n], number of tokens that rank before the target: more probable ones, and of
            equally probable ones the smaller token (the more frequent frame).
        confidence: float64 [n], the highest probability of the row.
        sum_error: float64 [n], absolute difference of the row's sum from one.
    """

    nats: NDArray[np.float64]
    rank: NDArray[np.int64]
    confidence: NDArray[np.float64]
    sum_error: NDArray[np.float64]


def score_rows(probabilities: Probabilities, targets: Tokens) -> Scores:
    """Return the scores of rows of `probabilities`, [n, V], for their targets, int32 [n]."""
    rows = np.arange(len(targets))
    of_target = probabilities[rows, targets]
    ahead = probabilities > of_target[:, None]
    level = probabilities == of_target[:, None]
    before = np.arange(probabilities.shape[1]) < targets[:, None]
    with np.errstate(divide="ignore"):
        nats = -np.log(of_target.astype(np.float64))
    return Scores(
        nats,
        np.count_nonzero(ahead | (level & before), axis=1),
        probabilities.max(axis=1).astype(np.float64),
        np.abs(probabilities.sum(axis=1, dtype=np.float64) - 1),
    )


def score(
    predictor: Predictor, held_out: EvalWindows, advance: Callable[[int], None] = lambda _: None
) -> Scores:
    """Return the scores for every window of `held_out`.

    Args:
        predictor: the predictor.
        held_out: the windows, at least one.
        advance: called after each batch with the number of windows in it.
    """
    parts = []
    for windows, targets in held_out.batches():
        parts.append(score_rows(predictor.probabilities(windows), targets))
        advance(len(targets))
    return Scores(*(np.concatenate(column) for column in zip(*parts, strict=True)))


class CalibrationBin(NamedTuple):
    """The windows whose confidence is above `low` and at most `high`.

    Attributes:
        low: lower bound of the confidence.
        high: upper bound of the confidence.
        windows: number of windows.
        confidence: mean confidence; None without windows.
        accuracy: share of the windows whose target is the most probable token; None without
            windows.
    """

    low: float
    high: float
    windows: int
    confidence: float | None
    accuracy: float | None


def calibration(scores: Scores, bins: int = CALIBRATION_BINS) -> list[CalibrationBin]:
    """Return the reliability table: equal bins of confidence from 0 to 1, lowest first.

    Guo, Pleiss, Sun and Weinberger 2017, "On Calibration of Modern Neural Networks", section 2:
    acc(B) and conf(B) of the samples whose confidence, the probability of the predicted class,
    falls into the interval ((m - 1) / M, m / M].
    """
    confidence = np.nan_to_num(scores.confidence, nan=0.0)
    number = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(number, minlength=bins)
    sums = np.bincount(number, confidence, bins)
    right = np.bincount(number, scores.rank == 0, bins)
    return [
        CalibrationBin(
            at / bins,
            (at + 1) / bins,
            int(count[at]),
            float(sums[at] / count[at]) if count[at] else None,
            float(right[at] / count[at]) if count[at] else None,
        )
        for at in range(bins)
    ]


def expected_calibration_error(table: Sequence[CalibrationBin]) -> float:
    """Return the mean gap between accuracy and confidence, weighted by the bins' windows.

    ECE = sum over bins of |B| / n * |acc(B) - conf(B)| (Naeini, Cooper and Hauskrecht 2015,
    "Obtaining Well Calibrated Probabilities Using Bayesian Binning"; Guo et al. 2017, equation 3).
    0 is perfect. Few windows per bin inflate the error.
    """
    total = sum(each.windows for each in table)
    return math.fsum(
        each.windows / total * abs(each.accuracy - each.confidence)
        for each in table
        if each.accuracy is not None and each.confidence is not None
    )


@dataclass(frozen=True)
class Figures:
    """The figures of a predictor: aggregated scores.

    Args:
        windows: number of windows.
        nats: mean negative log-likelihood of a frame; not finite if that of any frame is not.
        top1: share of the windows whose target is the most probable token.
        top5: share of the windows whose target is among the five most probable.
        calibration_error: see :func:`expected_calibration_error`.
        calibration: see :func:`calibration`.
        sum_error: maximum absolute difference of a row's sum from one.
    """

    windows: int
    nats: float
    top1: float
    top5: float
    calibration_error: float
    calibration: tuple[CalibrationBin, ...]
    sum_error: float

    @classmethod
    def of(cls, scores: Scores) -> Figures:
        """Return the figures of the scores of at least one window."""
        table = calibration(scores)
        return cls(
            len(scores.nats),
            float(scores.nats.mean()),
            float(np.mean(scores.rank < 1)),
            float(np.mean(scores.rank < 5)),
            expected_calibration_error(table),
            tuple(table),
            float(scores.sum_error.max()),
        )

    @property
    def perplexity(self) -> float:
        """``exp(nats)``: the number of equally probable frames with the same loss."""
        return float(np.exp(min(self.nats, 700.0))) if math.isfinite(self.nats) else math.inf
