"""What a call costs: seconds as a line over the number of its windows, learned from the calls.

A call costs something of its own and something more for each window. How these two stand to each
other says whether asking about guessed windows pays; it differs between a CPU, which works for
each window, and a GPU, which hardly notices a hundred.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np

KEPT = 5
"""Latest calls of each size that are looked at: a server's speed changes."""

SIZES = 24
"""Sizes of a call that are looked at: those that were asked last."""

ASSUMED_RATIO = 8.0
"""Windows that a call without any costs as much as, until it is known: what a 2-core CPU shows."""

_ASSUMED_WEIGHT = 4.0
_ROUNDS = 3


class Cost(NamedTuple):
    """Seconds of a call: ``fixed + windows * each``; `each` is above 0."""

    fixed: float
    each: float


class Pace:
    """The calls so far, and the line through them."""

    def __init__(self) -> None:
        self._calls: dict[int, deque[float]] = {}
        self._cost: Cost | None = None

    def record(self, windows: int, seconds: float) -> None:
        """Add a call of at least one window."""
        # The size asked last goes last, so that the first is the one to forget.
        calls = self._calls.pop(windows, None) or deque(maxlen=KEPT)
        calls.append(max(seconds, 1e-9))
        self._calls[windows] = calls
        if len(self._calls) > SIZES:
            del self._calls[next(iter(self._calls))]
        self._cost = None

    @property
    def cost(self) -> Cost | None:
        """The line through the calls; None before the first one."""
        if self._cost is None and self._calls:
            self._cost = self._fitted()
        return self._cost

    def _fitted(self) -> Cost:
        """Fit by least absolute deviations, so that a call that hung counts as one call.

        Iteratively reweighted least squares (Schlossmacher 1973, "An Iterative Technique for
        Absolute Deviations Curve Fitting"), drawn towards the assumed slope while there is little
        to see it by.
        """
        windows = np.repeat(
            np.array([*self._calls], dtype=np.float64), [len(each) for each in self._calls.values()]
        )
        seconds = np.array([value for each in self._calls.values() for value in each])
        middle = float(np.median(seconds))
        assumed = middle / (ASSUMED_RATIO + float(np.median(windows)))
        weights = np.ones_like(seconds)
        fixed = each = 0.0
        for _ in range(_ROUNDS):
            total = weights.sum()
            at, height = weights @ windows / total, weights @ seconds / total
            apart = windows - at
            spread = weights * apart
            each = (spread @ (seconds - height) + _ASSUMED_WEIGHT * assumed) / (
                spread @ apart + _ASSUMED_WEIGHT
            )
            each = min(max(float(each), 1e-3 * assumed), float(height / at))
            fixed = float(height - each * at)
            wrong = np.abs(seconds - fixed - each * windows)
            weights = 1 / np.maximum(wrong / middle, 0.02)
            weights /= weights.max()
        return Cost(fixed, each)
