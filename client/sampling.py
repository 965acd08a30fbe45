"""From probabilities to tokens: temperature, top-k, nucleus, and the draw itself.

Pure functions on a batch of probability rows, float64 [n, V]. Nothing here knows a server or music.
Where two tokens are equally probable the smaller one, which is the more frequent frame, goes first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.client.errors import BadOption

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn; applied in the order temperature, top-k, top-p, draw.

    Args:
        temperature: 1 draws from the model's own distribution, less is tamer, more is wilder, 0
            always takes the most probable frame.
        top_k: draw among the k most probable frames only; None for all.
        top_p: draw among the most probable frames that hold this share together; None for all.

    Raises:
        BadOption: temperature is negative or not finite, top_k below 1 or top_p outside (0, 1].
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise BadOption(f"temperature is 0 or a positive number, not {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise BadOption(f"top_k is 1 or more, not {self.top_k}")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise BadOption(f"top_p is above 0 and at most 1, not {self.top_p}")

    def distribution(self, probabilities: NDArray[np.floating[Any]]) -> Rows:
        """Return the rows that tokens are drawn from, float64 [n, V], each summing to one.

        Args:
            probabilities: [n, V], no negative values, each row with a positive sum.
        """
        rows = with_temperature(probabilities, self.temperature)
        if self.top_k is not None:
            rows = keep_top_k(rows, self.top_k)
        if self.top_p is not None:
            rows = keep_top_p(rows, self.top_p)
        return rows


def with_temperature(probabilities: NDArray[np.floating[Any]], temperature: float) -> Rows:
    """Return rows proportional to ``p ** (1 / temperature)``, float64 [n, V].

    This is softmax(logits / temperature), since ``log p`` are logits up to a constant (Ackley,
    Hinton and Sejnowski 1985, section 2). Temperature 0 is the limit: all on the most probable.
    """
    rows = np.asarray(probabilities, dtype=np.float64)
    if temperature == 0:
        greedy = np.zeros_like(rows)
        greedy[np.arange(len(rows)), np.argmax(rows, axis=1)] = 1.0
        return greedy
    if temperature == 1:
        return _normalised(rows)
    # A token of probability zero has a logit of minus infinity and stays at zero; so does one that
    # a tiny temperature sends there. The largest is shifted to 0 and stays.
    with np.errstate(divide="ignore", over="ignore"):
        logits = np.log(rows)
        return _normalised(np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature))


def keep_top_k(probabilities: Rows, k: int) -> Rows:
    """Return rows of which only the `k` most probable tokens are left, rescaled to sum to one.

    Fan, Lewis and Dauphin 2018, "Hierarchical Neural Story Generation", section 5.1.

    Args:
        probabilities: float64 [n, V].
        k: 1 or more; V or more changes nothing.
    """
    order = _by_falling_probability(probabilities)
    kept = np.zeros(probabilities.shape, dtype=bool)
    np.put_along_axis(kept, order[:, :k], True, axis=1)
    return _normalised(np.where(kept, probabilities, 0.0))


def keep_top_p(probabilities: Rows, p: float) -> Rows:
    """Return rows of which only the nucleus is left, rescaled to sum to one.

    The nucleus is the smallest set of most probable tokens whose probabilities add up to at least
    `p` (Holtzman, Buys, Du, Forbes and Choi 2020, "The Curious Case of Neural Text Degeneration",
    equations 2 and 3).

    Args:
        probabilities: float64 [n, V], each row summing to one.
        p: above 0; 1 changes nothing.
    """
    if p >= 1:
        return _normalised(probabilities)
    order = _by_falling_probability(probabilities)
    falling = np.take_along_axis(probabilities, order, axis=1)
    before = np.zeros_like(falling)
    before[:, 1:] = np.cumsum(falling, axis=1)[:, :-1]
    kept = np.empty(probabilities.shape, dtype=bool)
    np.put_along_axis(kept, order, before < p, axis=1)
    return _normalised(np.where(kept, probabilities, 0.0))


def draw(distribution: Rows, uniforms: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return one token a row by inverting its cumulative distribution, int64 [n].

    Token i is drawn where ``P(token < i) <= u < P(token <= i)``, so that a token of probability
    zero never is.

    Args:
        distribution: float64 [n, V], no negative values, each row with a positive sum.
        uniforms: float64 [n], uniform on [0, 1).
    """
    cumulative = np.cumsum(distribution, axis=1)
    thresholds = uniforms[:, None] * cumulative[:, -1:]
    tokens = (cumulative <= thresholds).sum(axis=1)
    # A uniform just below one may round to the whole sum, past the last token.
    last = distribution.shape[1] - 1 - np.argmax(distribution[:, ::-1] > 0, axis=1)
    return np.minimum(tokens, last)


def song_streams(seed: int, count: int) -> list[np.random.Generator]:
    """Return the random stream of each of `count` songs.

    The stream of a song follows from the seed and its index alone, so that song 3 of ten is song 3
    of a hundred. PCG64 is named because numpy may change its default generator.

    Raises:
        BadOption: the seed is negative.
    """
    if seed < 0:
        raise BadOption(f"a seed is 0 or more, not {seed}")
    return [
        np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(index,))))
        for index in range(count)
    ]


def _by_falling_probability(probabilities: Rows) -> NDArray[np.intp]:
    return np.argsort(-probabilities, axis=1, kind="stable")


def _normalised(rows: Rows) -> Rows:
    result: Rows = rows / rows.sum(axis=1, keepdims=True)
    return result
