"""An n-gram of the training songs mixed with the n-grams of the window itself. numpy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.ngram.counting import ORDER, NGram, Row
from tunesmith.components.records.eval_windows import EvalWindows, Tokens

WINDOW_ORDER = 8
"""Most frames of context inside the window."""

_FITTED = 50_000
"""Training frames, evenly spread, that weights are fitted to."""

_ROUNDS = 50
"""Of expectation maximisation; the weights then stand still in the second decimal."""


@dataclass(frozen=True)
class WindowNGram:
    """A 5-gram of the training songs and the n-grams of the window, mixed by the longest match.

    p(w | h) = a(m, 0) p5(w | h) + sum over k from 0 to m of a(m, k + 1) c(h, k, w) / c(h, k)

    where c(h, k, w) counts the places inside the window h before which the last k frames stand and
    at which w follows, c(h, k) all such places, and m, at most :data:`WINDOW_ORDER`, is the largest
    k with a place. The part of the window is the short-term model of Conklin and Witten 1995,
    "Multiple viewpoint systems for music prediction". Rests before the window's first sounding
    frame are no places. The weights a are the most likely ones (Jelinek and Mercer 1980) when each
    training song is predicted from the counts of all others.

    Args:
        ngram: p5.
        weights: a, float64 [orders + 1, orders + 1]; row 0 is for a window without any place.
        window: frames of h.
        rests: the token of each part's rest.
    """

    ngram: NGram
    weights: Row
    window: int
    rests: tuple[int, ...]

    @classmethod
    def count(
        cls,
        songs: Sequence[NDArray[np.integer[Any]]],
        vocabulary_size: int,
        window: int,
        rests: Sequence[int],
    ) -> WindowNGram:
        """Count songs and fit the weights.

        Args:
            songs: integers [n] each.
            vocabulary_size: V.
            window: frames that the model sees.
            rests: the token of each part's rest.
        """
        ngram, left_out = NGram.count_left_out(songs, vocabulary_size, ORDER, rests)
        held = EvalWindows.of(songs, window, rests)
        some = np.arange(0, len(held), 1 + len(held) // _FITTED)
        said, longest = [], []
        for few in np.array_split(some, 1 + len(some) // 1024):
            windows = held.windows(few)
            matched = _matched(windows, rests)
            hit = windows[:, 1:] == held.targets[few][:, None]
            said.append(np.column_stack([left_out[few], *_shares(matched, hit)]))
            longest.append(matched.max(axis=1))
        weights = _fit(np.concatenate(said), np.concatenate(longest) + 1)
        return cls(ngram, weights, window, tuple(rests))

    def probabilities(self, windows: Tokens) -> Row:
        """Return float64 [n, V] for windows int32 [n, window]."""
        matched = _matched(windows, self.rests)
        weights = self.weights[matched.max(axis=1) + 1]
        rows = weights[:, :1] * self.ngram.probabilities(windows)
        of_place = np.zeros(matched.shape)
        for order in range(WINDOW_ORDER + 1):
            here = matched >= order
            count = np.maximum(here.sum(axis=1), 1)
            of_place += here * (weights[:, order + 1] / count)[:, None]
        cells = np.arange(len(windows))[:, None] * self.ngram.size + windows[:, 1:]
        seen = np.bincount(cells.ravel(), of_place.ravel(), rows.size)
        total: Row = rows + seen.reshape(rows.shape)
        return total


def _matched(windows: Tokens, rests: Sequence[int]) -> NDArray[np.int64]:
    """Return how many frames before each place equal the last ones, int64 [n, window - 1].

    Place i is that of token i + 1; -1 for a rest before the first sounding frame.
    """
    padding = np.logical_and.accumulate(np.isin(windows, rests), axis=1)
    seen = np.where(padding, -1, windows)
    matched = np.zeros((len(windows), windows.shape[1] - 1), np.int64)
    going_on = np.ones(matched.shape, dtype=bool)
    for back in range(min(WINDOW_ORDER, windows.shape[1] - 1)):
        last = seen[:, -1 - back]
        earlier = np.full(matched.shape, -1)
        earlier[:, back:] = seen[:, : matched.shape[1] - back]
        going_on &= (earlier == last[:, None]) & (earlier >= 0)
        matched += going_on
    matched[padding[:, 1:]] = -1
    return matched


def _shares(matched: NDArray[np.int64], hit: NDArray[np.bool_]) -> list[Row]:
    """Return by order the share of the places at which the frame follows, float64 [n] each."""
    return [
        (here & hit).sum(axis=1) / np.maximum(here.sum(axis=1), 1)
        for here in (matched >= order for order in range(WINDOW_ORDER + 1))
    ]


def _fit(said: Row, longest: NDArray[np.int64]) -> Row:
    """Return the most likely weights, float64 [orders + 1, parts].

    Half an observation of each part that can be there keeps its weight off 0.

    Args:
        said: float64 [n, parts], what each part says of a frame.
        longest: int64 [n], 1 more than the longest match.
    """
    parts = said.shape[1]
    before = np.tril(np.full((parts, parts), 0.5))
    weights: Row = before / before.sum(axis=1, keepdims=True)
    for _ in range(_ROUNDS):
        own = weights[longest] * said
        own /= np.maximum(own.sum(axis=1, keepdims=True), 1e-300)
        sums = np.stack([np.bincount(longest, column, minlength=parts) for column in own.T], axis=1)
        weights = (sums + before) / (sums + before).sum(axis=1, keepdims=True)
    return weights
