"""From probabilities to tokens: the chain of filters, the draw, and the noise of the draw.

Pure functions of a batch of probability rows, float64 [n, V]; the filters themselves are those of
:mod:`tunesmith.client.filters`. Nothing here knows a server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.client.errors import BadOption
from tunesmith.client.filters import FILTERS, Filter, Rows, Windows, normalised

__all__ = [
    "Filter",
    "Noise",
    "Rows",
    "Sampling",
    "Windows",
    "apply",
    "arrivals",
    "draw",
    "start_stream",
]


@dataclass(frozen=True)
class Sampling:
    """The built-in filters as one, in the order of :data:`tunesmith.client.filters.FILTERS`.

    Args:
        temperature: 1 is the model's distribution, lower is closer to the most probable frame, 0
            always takes it.
        top_k: keep only the k most probable frames; None for all.
        top_p: keep the most probable frames whose probabilities sum to this; None for all.
        max_repeats: maximum number of times in a row that a sounding frame comes; None for no
            limit.
        max_rests: maximum number of rests in a row; None for no limit.
        min_p: keep the frames whose probability is at least this share of the highest; None for
            all.

    Raises:
        BadOption: a value is out of its range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    max_repeats: int | None = None
    max_rests: int | None = None
    min_p: float | None = None

    def __post_init__(self) -> None:
        # The filters check their own values.
        _ = self.chain

    @cached_property
    def chain(self) -> tuple[Filter, ...]:
        """The filters that are set, in the order in which they apply."""
        values = [(each, getattr(self, each.option.keyword)) for each in FILTERS]
        return tuple(each(value) for each, value in values if value is not None)

    def facts(self) -> list[str]:
        """Return the values that are not the defaults: ``["temperature 0.9", "top-k 3"]``."""
        values = {each.name: (getattr(self, each.name), each.default) for each in fields(self)}
        return [
            f"{name.replace('_', '-')} {value:g}"
            for name, (value, default) in values.items()
            if value != default
        ]

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
        if windows is None:
            windows = np.zeros((len(probabilities), 0), np.int64)
        return apply(self.chain, probabilities, windows)


def apply(
    chain: Sequence[Filter], probabilities: NDArray[np.floating[Any]], windows: Windows
) -> Rows:
    """Return `probabilities`, normalised in float64, after each filter of `chain`.

    Args:
        chain: filters in the order in which they apply.
        probabilities: [n, V], no negative values, each row with a positive sum.
        windows: int64 [n, window], the windows that the rows answer, oldest token first.

    Raises:
        BadOption: a filter left a row of which nothing can be drawn.
    """
    rows = normalised(np.asarray(probabilities, dtype=np.float64))
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
        raise BadOption(f"seed must be at least 0, not {seed}")
    return np.random.SeedSequence(seed, spawn_key=(index,))
