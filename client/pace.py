"""Cost of calls, measured while generating: decides whether speculative sampling saves time.

A call has a fixed cost and a cost per window. Their ratio decides whether it pays to score windows
of draft tokens. On a CPU the cost grows with each window; on a GPU hardly up to a hundred windows.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

Kind = Literal["plain", "draft", "probe"]
"""A round without draft tokens, with draft tokens, or with some only to measure their cost."""

KEPT = 15
"""Number of latest calls of each size that are used, because the speed of a server changes."""

SIZES = 24
"""Number of latest call sizes that are used."""

REFITTED_EVERY = 6
"""Number of calls after which the cost is fitted again, which takes 0.2 ms."""

ASSUMED_RATIO = 8.0
"""Prior of the fixed cost in units of the cost per window, measured on a 2-core CPU."""

TRIED = 2
"""Number of rounds with draft tokens before they are compared with rounds without."""

PAUSED = 16
"""Number of rounds without draft tokens after these were slower; doubled each time."""

_ASSUMED_WEIGHT = 4.0
_ROUNDS = 3


class Cost(NamedTuple):
    """Cost of a call in seconds: ``fixed + windows * each``; `each` is above 0."""

    fixed: float
    each: float


class CallCosts:
    """Durations of calls by number of windows, and the fitted :class:`Cost`."""

    def __init__(self) -> None:
        self._calls: dict[int, deque[float]] = {}
        self._cost: Cost | None = None
        self._calls_since_fit = 0

    def record(self, windows: int, seconds: float) -> None:
        """Add the duration of a call of `windows` (at least one) windows."""
        # The latest size is moved to the end, so that the first one is the oldest.
        calls = self._calls.pop(windows, None) or deque(maxlen=KEPT)
        calls.append(max(seconds, 1e-9))
        self._calls[windows] = calls
        if len(self._calls) > SIZES:
            del self._calls[next(iter(self._calls))]
        self._calls_since_fit += 1
        if self._calls_since_fit >= min(REFITTED_EVERY, sum(map(len, self._calls.values())) // 4):
            self._cost = None

    @property
    def largest(self) -> int:
        """Number of windows of the largest call in use; 0 before the first call."""
        return max(self._calls, default=0)

    @property
    def cost(self) -> Cost | None:
        """Fitted cost; None before the first call."""
        if self._cost is None and self._calls:
            self._cost, self._calls_since_fit = self._fitted(), 0
        return self._cost

    def _fitted(self) -> Cost:
        """Fit the cost by least absolute deviations, which is robust against single slow calls.

        Iteratively reweighted least squares (Schlossmacher 1973, "An Iterative Technique for
        Absolute Deviations Curve Fitting"), with a prior on the slope for the first calls.
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


@dataclass
class _Speed:
    """Exponentially weighted tokens and seconds of the rounds of a kind."""

    rounds: int = 0
    tokens: float = 0.0
    seconds: float = 0.0

    def add(self, tokens: int, seconds: float) -> None:
        self.rounds += 1
        self.tokens = 0.9 * self.tokens + tokens
        self.seconds = 0.9 * self.seconds + seconds

    def faster_than(self, other: _Speed) -> bool:
        return self.tokens * other.seconds > other.tokens * self.seconds


class SpeedComparison:
    """Compares the speed of rounds with and without draft tokens.

    The cost of a call is not always linear: some servers need longer for a new batch size. So if
    rounds with draft tokens are slower than without, drafting is paused for some rounds.
    """

    def __init__(self) -> None:
        self._plain, self._drafting = _Speed(), _Speed()
        self._pause, self._next = 0, PAUSED

    @property
    def paused(self) -> bool:
        """True if the next round must not use draft tokens."""
        return self._pause > 0

    def record(self, kind: Kind, tokens: int, seconds: float) -> None:
        """Record the tokens and seconds of a round; ignored if it decided no tokens."""
        self._pause = max(self._pause - 1, 0)
        if tokens == 0 or kind == "probe":
            return
        (self._drafting if kind == "draft" else self._plain).add(tokens, seconds)
        if self._drafting.rounds >= TRIED and self._plain.faster_than(self._drafting):
            self._pause, self._next = self._next, 2 * self._next
            self._drafting = _Speed()
