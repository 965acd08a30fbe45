"""The filters between a model's probabilities and the draw: limits, temperature, top-k, nucleus.

Each is a pure function of probability rows, float64 [n, V], and of the windows that they answer,
int64 [n, window]. Of music they know that token 0 is the rest. Where two tokens are equally
probable the smaller one, which is the more frequent frame, goes first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunesmith.client.errors import BadOption

Rows = NDArray[np.float64]
Windows = NDArray[np.int64]

Filter = Callable[[Rows, Windows], Rows]
"""Rows that sum to one and the windows that they answer, to rows of the same shape.

What it leaves has no negative values and something positive in each row.
"""

_REST = 0


@dataclass(frozen=True)
class RepetitionLimit:
    """A sounding frame comes at most `longest` times in a row; rests have :class:`RestLimit`.

    A row of which nothing would be left is left alone, so that a song can always go on: the limit
    gives way where the model knows no other frame.

    Raises:
        BadOption: `longest` is below 1, or a window is shorter than that.
    """

    longest: int

    def __post_init__(self) -> None:
        if self.longest < 1:
            raise BadOption(f"max_repeats is 1 or more, not {self.longest}")

    def __call__(self, rows: Rows, windows: Windows) -> Rows:
        """Return the rows without the frame that has come `longest` times just now."""
        ending = _ending("max_repeats", windows, self.longest)
        over = (ending == ending[:, -1:]).all(axis=1) & (ending[:, -1] != _REST)
        return _without(rows, np.flatnonzero(over), ending[over, -1])


@dataclass(frozen=True)
class RestLimit:
    """At most `longest` rests come in a row; those before a song's first frame count, too.

    As with :class:`RepetitionLimit`, a row of which nothing would be left is left alone.

    Raises:
        BadOption: `longest` is below 1, or a window is shorter than that.
    """

    longest: int

    def __post_init__(self) -> None:
        if self.longest < 1:
            raise BadOption(f"max_rests is 1 or more, not {self.longest}")

    def __call__(self, rows: Rows, windows: Windows) -> Rows:
        """Return the rows without the rest where the last `longest` frames are rests."""
        over = (_ending("max_rests", windows, self.longest) == _REST).all(axis=1)
        return _without(rows, np.flatnonzero(over), np.full(int(over.sum()), _REST))


@dataclass(frozen=True)
class Temperature:
    """Rows proportional to ``p ** (1 / temperature)``.

    This is softmax(logits / temperature), since ``log p`` are logits up to a constant (Ackley,
    Hinton and Sejnowski 1985, section 2). Temperature 0 is the limit: all on the most probable.

    Raises:
        BadOption: the temperature is negative or not finite.
    """

    temperature: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise BadOption(f"temperature is 0 or a positive number, not {self.temperature}")

    def __call__(self, rows: Rows, windows: Windows) -> Rows:
        """Return the rows made flatter (above 1) or steeper (below 1)."""
        del windows
        if self.temperature == 0:
            greedy = np.zeros_like(rows)
            greedy[np.arange(len(rows)), np.argmax(rows, axis=1)] = 1.0
            return greedy
        if self.temperature == 1:
            return rows
        # A token of probability zero has a logit of minus infinity and stays at zero; so does one
        # that a tiny temperature sends there. The largest is shifted to 0 and stays.
        with np.errstate(divide="ignore", over="ignore"):
            logits = np.log(rows)
            best = logits.max(axis=1, keepdims=True)
            return normalised(np.exp((logits - best) / self.temperature))


@dataclass(frozen=True)
class TopK:
    """Rows of which only the `k` most probable tokens are left; V or more leaves all.

    Fan, Lewis and Dauphin 2018, "Hierarchical Neural Story Generation", section 5.1.

    Raises:
        BadOption: `k` is below 1.
    """

    k: int

    def __post_init__(self) -> None:
        if self.k < 1:
            raise BadOption(f"top_k is 1 or more, not {self.k}")

    def __call__(self, rows: Rows, windows: Windows) -> Rows:
        """Return the rows with all but the `k` most probable tokens at zero."""
        del windows
        kept = np.zeros(rows.shape, dtype=bool)
        np.put_along_axis(kept, _by_falling_probability(rows)[:, : self.k], True, axis=1)
        return normalised(np.where(kept, rows, 0.0))


@dataclass(frozen=True)
class TopP:
    """Rows of which only the nucleus is left; `p` = 1 leaves all.

    The nucleus is the smallest set of most probable tokens whose probabilities add up to at least
    `p` (Holtzman, Buys, Du, Forbes and Choi 2020, "The Curious Case of Neural Text Degeneration",
    equations 2 and 3).

    Raises:
        BadOption: `p` is outside (0, 1].
    """

    p: float

    def __post_init__(self) -> None:
        if not 0 < self.p <= 1:
            raise BadOption(f"top_p is above 0 and at most 1, not {self.p}")

    def __call__(self, rows: Rows, windows: Windows) -> Rows:
        """Return the rows with what lies outside the nucleus at zero."""
        del windows
        if self.p == 1:
            return rows
        order = _by_falling_probability(rows)
        falling = np.take_along_axis(rows, order, axis=1)
        before = np.zeros_like(falling)
        before[:, 1:] = np.cumsum(falling, axis=1)[:, :-1]
        kept = np.empty(rows.shape, dtype=bool)
        np.put_along_axis(kept, order, before < self.p, axis=1)
        return normalised(np.where(kept, rows, 0.0))


def normalised(rows: Rows) -> Rows:
    """Return rows of a positive sum as rows that sum to one."""
    result: Rows = rows / rows.sum(axis=1, keepdims=True)
    return result


def _ending(name: str, windows: Windows, length: int) -> Windows:
    """Return the last `length` tokens of each window."""
    if windows.shape[1] < length:
        raise BadOption(f"{name} is at most {windows.shape[1]}, what the model looks back")
    return windows[:, windows.shape[1] - length :]


def _without(rows: Rows, at: NDArray[np.intp], tokens: NDArray[np.int64]) -> Rows:
    """Return `rows` without one token of the rows `at`, unless nothing would be left of one."""
    if len(at) == 0:
        return rows
    allowed = rows.copy()
    allowed[at, tokens] = 0.0
    empty = ~(allowed.sum(axis=1) > 0)
    allowed[empty] = rows[empty]
    return normalised(allowed)


def _by_falling_probability(rows: Rows) -> NDArray[np.intp]:
    return np.argsort(-rows, axis=1, kind="stable")
