"""From probabilities to tokens: a chain of filters on probability rows, then the draw itself.

Pure functions on a batch of probability rows, float64 [n, V], and the windows that they answer,
int64 [n, window]. Nothing here knows a server; of music it knows that token 0 is the rest. Where
two tokens are equally probable the smaller one, which is the more frequent frame, goes first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

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
            return _normalised(np.exp((logits - best) / self.temperature))


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
        return _normalised(np.where(kept, rows, 0.0))


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
        return _normalised(np.where(kept, rows, 0.0))


@dataclass(frozen=True)
class Sampling:
    """The usual chain, itself a filter: limits, temperature, top-k, top-p, in this order.

    The limits come first, so that what they forbid takes no place among the k most probable frames
    and no share of the nucleus.

    Args:
        temperature: 1 draws from the model's own distribution, less is tamer, more is wilder, 0
            always takes the most probable frame.
        top_k: draw among the k most probable frames only; None for all.
        top_p: draw among the most probable frames that hold this share together; None for all.
        max_repeats: a frame sounds at most so many frames in a row; None for no limit.
        max_rests: at most so many rests come in a row; None for no limit.

    Raises:
        BadOption: a value is out of its range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    max_repeats: int | None = None
    max_rests: int | None = None

    def __post_init__(self) -> None:
        # The filters check their own values.
        _ = self.chain

    @cached_property
    def chain(self) -> tuple[Filter, ...]:
        """The filters, in the order in which they apply."""
        filters: list[Filter] = []
        if self.max_repeats is not None:
            filters.append(RepetitionLimit(self.max_repeats))
        if self.max_rests is not None:
            filters.append(RestLimit(self.max_rests))
        filters.append(Temperature(self.temperature))
        if self.top_k is not None:
            filters.append(TopK(self.top_k))
        if self.top_p is not None:
            filters.append(TopP(self.top_p))
        return tuple(filters)

    def __call__(self, rows: Rows, windows: Windows) -> Rows:
        """Return the rows after every filter."""
        return apply(self.chain, rows, windows)

    def distribution(
        self, probabilities: NDArray[np.floating[Any]], windows: Windows | None = None
    ) -> Rows:
        """Return the rows that tokens are drawn from, float64 [n, V], each summing to one.

        Args:
            probabilities: [n, V], no negative values, each row with a positive sum.
            windows: int64 [n, window], needed by the limits only.

        Raises:
            BadOption: a limit is longer than the windows.
        """
        heard = np.zeros((len(probabilities), 0), np.int64) if windows is None else windows
        return apply(self.chain, probabilities, heard)


def apply(
    chain: Sequence[Filter], probabilities: NDArray[np.floating[Any]], windows: Windows
) -> Rows:
    """Return `probabilities`, normalised in float64, after each filter of `chain`.

    Args:
        chain: filters in the order in which they apply.
        probabilities: [n, V], no negative values, each row with a positive sum.
        windows: int64 [n, window], what each row answers, oldest token first.

    Raises:
        BadOption: a filter left a row of which nothing can be drawn.
    """
    rows = _normalised(np.asarray(probabilities, dtype=np.float64))
    shape = rows.shape
    for each in chain:
        rows = each(rows, windows)
        # NaN fails both comparisons.
        if rows.shape != shape or not ((rows >= 0).all() and (rows.sum(axis=1) > 0).all()):
            raise BadOption(f"the filter {each} left no probabilities of shape {list(shape)}")
    return rows


def draw(rows: Rows, noise: Rows) -> NDArray[np.int64]:
    """Return one token a row, each drawn from its row, int64 [n].

    An exponential race: token i arrives at time ``noise[i] / p[i]``, and the first is taken. Of
    independent exponential times with rates p the i-th is the smallest with probability
    ``p[i] / sum(p)``. Minus its logarithm this is the Gumbel-max trick (Gumbel 1954; Maddison,
    Tarlow and Minka 2014, "A* Sampling", section 2). The token follows from the row and the noise
    alone, and where two rows differ little the same noise mostly draws the same token.

    Args:
        rows: float64 [n, V], no negative values, each row with a positive sum, which need not be
            one. A token of probability zero is never drawn.
        noise: float64 [n, V], standard exponential, see :class:`Noise`.
    """
    return arrivals(rows, noise).argmin(axis=1)


def arrivals(rows: Rows, noise: Rows) -> Rows:
    """Return when each token arrives in the race of :func:`draw`, float64 [n, V]."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.where(rows > 0, noise / rows, np.inf)


class Noise:
    """The standard exponential noise that the tokens of one song are drawn with.

    That of a step follows from the seed, the song's index and the step alone: step t takes values
    ``t * V`` to ``(t + 1) * V - 1`` of the song's PCG64 stream, each by inverting the exponential's
    cumulative distribution. So a song does not depend on how many others are drawn beside it, on
    how often a step is tried, or on where it was interrupted and continued. PCG64 is named because
    numpy may change its default generator.

    Args:
        seed: 0 or more.
        index: which of the songs of that seed.
        size: V, the tokens of a vocabulary.

    Raises:
        BadOption: the seed is negative.
    """

    def __init__(self, seed: int, index: int, size: int) -> None:
        self._size = size
        self._source = np.random.PCG64(_seed_sequence(seed, index))
        self._generator = np.random.Generator(self._source)
        self._next = 0

    def steps(self, first: int, count: int = 1) -> Rows:
        """Return the noise of `count` steps from step `first` on, float64 [count, V]."""
        # One value of the stream makes one float64. Backwards is forwards, modulo its period.
        self._source.advance((first - self._next) * self._size % 2**128)
        self._next = first + count
        return -np.log1p(-self._generator.random((count, self._size)))


def start_stream(seed: int, index: int) -> np.random.Generator:
    """Return the stream that a random start is drawn from: another than the song's own noise.

    Raises:
        BadOption: the seed is negative.
    """
    return np.random.Generator(np.random.PCG64(_seed_sequence(seed, index).spawn(1)[0]))


def _seed_sequence(seed: int, index: int) -> np.random.SeedSequence:
    if seed < 0:
        raise BadOption(f"a seed is 0 or more, not {seed}")
    return np.random.SeedSequence(seed, spawn_key=(index,))


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
    return _normalised(allowed)


def _by_falling_probability(rows: Rows) -> NDArray[np.intp]:
    return np.argsort(-rows, axis=1, kind="stable")


def _normalised(rows: Rows) -> Rows:
    result: Rows = rows / rows.sum(axis=1, keepdims=True)
    return result
