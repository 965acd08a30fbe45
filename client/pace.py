"""What a call costs, learned from the calls, and whether guessing ahead pays at that.

A call costs something of its own and something more for each window. How these two stand to each
other says whether asking about guessed windows pays; it differs between a CPU, which works for
each window, and a GPU, which hardly notices a hundred.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

Kind = Literal["plain", "guess", "probe"]
"""A round without guesses, with some, and with some only to see what a call's size costs."""

KEPT = 15
"""Latest calls of each size that are looked at: a server's speed changes."""

SIZES = 24
"""Sizes of a call that are looked at: those that were asked last."""

REFITTED_EVERY = 6
"""Calls, once there are some: the line is found in 0.2 ms."""

ASSUMED_RATIO = 8.0
"""Windows that a call without any costs as much as, until it is known: what a 2-core CPU shows."""

TRIED = 2
"""Rounds with guesses after which they are compared with rounds without."""

PAUSED = 16
"""Rounds without guesses after they turned out not to pay; twice as many each time it happens."""

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
        self._news = 0

    def record(self, windows: int, seconds: float) -> None:
        """Add a call of at least one window."""
        # The size asked last goes last, so that the first is the one to forget.
        calls = self._calls.pop(windows, None) or deque(maxlen=KEPT)
        calls.append(max(seconds, 1e-9))
        self._calls[windows] = calls
        if len(self._calls) > SIZES:
            del self._calls[next(iter(self._calls))]
        self._news += 1
        if self._news >= min(REFITTED_EVERY, sum(map(len, self._calls.values())) // 4):
            self._cost = None

    @property
    def largest(self) -> int:
        """Windows of the largest call among those looked at; 0 before the first."""
        return max(self._calls, default=0)

    @property
    def cost(self) -> Cost | None:
        """The line through the calls; None before the first one."""
        if self._cost is None and self._calls:
            self._cost, self._news = self._fitted(), 0
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


@dataclass
class _Speed:
    """Tokens and seconds of the latest rounds of a kind, the older the less they count."""

    rounds: int = 0
    tokens: float = 0.0
    seconds: float = 0.0

    def add(self, tokens: int, seconds: float) -> None:
        self.rounds += 1
        self.tokens = 0.9 * self.tokens + tokens
        self.seconds = 0.9 * self.seconds + seconds

    def faster_than(self, other: _Speed) -> bool:
        return self.tokens * other.seconds > other.tokens * self.seconds


class Trial:
    """Rounds with guesses beside rounds without, by what they took.

    A call's cost is no line everywhere: a size that was never asked before costs some servers more.
    So where guesses turn out not to pay, whatever the line says, they are paused for a while.
    """

    def __init__(self) -> None:
        self._plain, self._guessing = _Speed(), _Speed()
        self._pause, self._next = 0, PAUSED

    @property
    def paused(self) -> bool:
        """Whether the next round goes without guesses."""
        return self._pause > 0

    def close(self, kind: Kind, tokens: int, seconds: float) -> None:
        """Take note of what a round of a kind decided and took; nothing where there was none."""
        self._pause = max(self._pause - 1, 0)
        if tokens == 0 or kind == "probe":
            return
        (self._guessing if kind == "guess" else self._plain).add(tokens, seconds)
        if self._guessing.rounds >= TRIED and self._plain.faster_than(self._guessing):
            self._pause, self._next = self._next, 2 * self._next
            self._guessing = _Speed()
