"""How well a predictor foresees held-out songs: likelihood, accuracy, calibration.

Every window of every song is judged, and whatever predicts is judged alike: the exported model, an
older one, a baseline. numpy alone; nothing here knows where probabilities come from.
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
"""Equal bins of confidence, as many as Guo et al. 2017 take (section 4)."""

Probabilities = NDArray[np.floating[Any]]


class Predictor(Protocol):
    """Whatever gives the next token's distribution."""

    def probabilities(self, windows: Tokens) -> Probabilities:
        """Return [n, V], rows that sum to one, for windows int32 [n, window], oldest first."""


class Judgement(NamedTuple):
    """What a predictor said of each window.

    Attributes:
        nats: float64 [n], minus the natural logarithm of the target's probability.
        rank: int64 [n], how many tokens are held for more probable than the target; of equally
            probable ones the smaller token, the more frequent frame, goes first.
        confidence: float64 [n], the highest probability of the row.
        sum_error: float64 [n], how far the row's sum lies from one.
    """

    nats: NDArray[np.float64]
    rank: NDArray[np.int64]
    confidence: NDArray[np.float64]
    sum_error: NDArray[np.float64]


def judge_rows(probabilities: Probabilities, targets: Tokens) -> Judgement:
    """Judge the rows of `probabilities`, [n, V], by their targets, int32 [n]."""
    rows = np.arange(len(targets))
    of_target = probabilities[rows, targets]
    ahead = probabilities > of_target[:, None]
    level = probabilities == of_target[:, None]
    before = np.arange(probabilities.shape[1]) < targets[:, None]
    with np.errstate(divide="ignore"):
        nats = -np.log(of_target.astype(np.float64))
    return Judgement(
        nats,
        np.count_nonzero(ahead | (level & before), axis=1),
        probabilities.max(axis=1).astype(np.float64),
        np.abs(probabilities.sum(axis=1, dtype=np.float64) - 1),
    )


def judge(
    predictor: Predictor, held_out: EvalWindows, advance: Callable[[int], None] = lambda _: None
) -> Judgement:
    """Judge every window of `held_out`, which has at least one.

    Args:
        predictor: what is judged.
        held_out: the windows.
        advance: called after each batch with the number of windows in it.
    """
    parts = []
    for windows, targets in held_out.batches():
        parts.append(judge_rows(predictor.probabilities(windows), targets))
        advance(len(targets))
    return Judgement(*(np.concatenate(column) for column in zip(*parts, strict=True)))


class CalibrationBin(NamedTuple):
    """The windows of which the confidence lies above `low` and is at most `high`.

    Attributes:
        low: of the confidence.
        high: of the confidence.
        windows: how many.
        confidence: their mean; None where there are none.
        accuracy: share of them in which the most probable token is the target; None likewise.
    """

    low: float
    high: float
    windows: int
    confidence: float | None
    accuracy: float | None


def calibration(judgement: Judgement, bins: int = CALIBRATION_BINS) -> list[CalibrationBin]:
    """Return the reliability table: equal bins of confidence over 0..1, the lowest first.

    Guo, Pleiss, Sun and Weinberger 2017, "On Calibration of Modern Neural Networks", section 2:
    acc(B) and conf(B) of the samples whose confidence, the probability of the predicted class,
    falls into the interval ((m - 1) / M, m / M].
    """
    confidence = np.nan_to_num(judgement.confidence, nan=0.0)
    number = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(number, minlength=bins)
    sums = np.bincount(number, confidence, bins)
    right = np.bincount(number, judgement.rank == 0, bins)
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
    0 is perfect. A bin's error is that of its means, so that few windows a bin inflate it.
    """
    total = sum(each.windows for each in table)
    return math.fsum(
        each.windows / total * abs(each.accuracy - each.confidence)
        for each in table
        if each.accuracy is not None and each.confidence is not None
    )


@dataclass(frozen=True)
class Figures:
    """What a judgement comes to.

    Args:
        windows: how many were judged.
        nats: mean negative log-likelihood of a frame; not finite if any frame's is not.
        top1: share of the windows whose target is the most probable token.
        top5: share of the windows whose target is among the five most probable.
        calibration_error: see :func:`expected_calibration_error`.
        calibration: see :func:`calibration`.
        sum_error: how far a row's sum lies from one at most.
    """

    windows: int
    nats: float
    top1: float
    top5: float
    calibration_error: float
    calibration: tuple[CalibrationBin, ...]
    sum_error: float

    @classmethod
    def of(cls, judgement: Judgement) -> Figures:
        """Sum up a judgement of at least one window."""
        table = calibration(judgement)
        return cls(
            len(judgement.nats),
            float(judgement.nats.mean()),
            float(np.mean(judgement.rank < 1)),
            float(np.mean(judgement.rank < 5)),
            expected_calibration_error(table),
            tuple(table),
            float(judgement.sum_error.max()),
        )

    @property
    def perplexity(self) -> float:
        """``exp(nats)``: as unsure as among so many equally probable frames."""
        return float(np.exp(min(self.nats, 700.0))) if math.isfinite(self.nats) else math.inf
