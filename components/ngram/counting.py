"""An n-gram of tokens, counted on songs and interpolated. numpy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.records.eval_windows import EvalWindows, Tokens

Row = NDArray[np.float64]
Ints = NDArray[np.int64]

ORDER = 5
"""Of the n-gram that a model has to beat: four frames of context."""


@dataclass(frozen=True)
class _Contexts:
    """The contexts of one length, and what followed each.

    `keys` int64 [k], rising: a context's number one token shorter, times V, plus the token in front
    of that. `totals` int64 [k]: how often each occurred. `weights` float64 [k]: how far each is to
    be believed. `starts` int64 [k + 1]: where in `followers` and `counts`, int64 [m], those of each
    context begin.
    """

    keys: Ints
    totals: Ints
    weights: Row
    starts: Ints
    followers: Ints
    counts: Ints


@dataclass(frozen=True)
class NGram:
    """An n-gram model, interpolated down to the uniform distribution.

    p(w | h) = a(h) c(h w) / c(h) + (1 - a(h)) p(w | h')

    where c counts and h' is h without its oldest token; a context that never occurred leaves
    p(w | h'), and below the unigram stands 1 / V. This is Jelinek and Mercer 1980, "Interpolated
    estimation of Markov source parameters from sparse data", in the recursive form of Chen and
    Goodman 1998, "An Empirical Study of Smoothing Techniques for Language Modeling", section 2.3.
    a(h) is one number for all contexts of a length whose c(h) has the same power of two, and the
    most likely one when each training song is predicted from the counts of all others (leaving one
    out, but by songs: a song repeats itself far more than it repeats others).

    On the paper's songs, on Bach's chorales and on POP909 it foresees unknown songs better than
    Witten-Bell smoothing does, which overrates long contexts: see docs/evaluation.md.

    Args:
        size: V.
        levels: the contexts of no token, of one, and so on.
    """

    size: int
    levels: tuple[_Contexts, ...]

    @classmethod
    def count(
        cls,
        songs: Sequence[NDArray[np.integer[Any]]],
        vocabulary_size: int,
        order: int,
        rests: Sequence[int],
    ) -> NGram:
        """Count songs with `order` - 1 tokens of context, at least none.

        Args:
            songs: integers [n] each.
            vocabulary_size: V.
            order: 1 for no context.
            rests: the token of each part's rest, the context before a song's start.
        """
        return cls.count_left_out(songs, vocabulary_size, order, rests)[0]

    @classmethod
    def count_left_out(
        cls,
        songs: Sequence[NDArray[np.integer[Any]]],
        vocabulary_size: int,
        order: int,
        rests: Sequence[int],
    ) -> tuple[NGram, Row]:
        """Count songs, and predict each of them by the counts of all others.

        Args:
            songs: see :meth:`count`, and so the others.
            vocabulary_size: V.
            order: 1 for no context.
            rests: the token of each part's rest.

        Returns:
            The n-gram; and float64 [frames], the probability of each frame of the songs if its own
            song had not been counted.
        """
        held = EvalWindows.of(songs, order - 1, rests)
        targets = held.targets.astype(np.int64)
        song = np.repeat(np.arange(len(songs)), [len(tokens) for tokens in songs])
        numbers = np.zeros(len(held), dtype=np.int64)
        keys = np.zeros(min(1, len(held)), dtype=np.int64)
        foreseen = np.full(len(held), 1 / vocabulary_size)
        levels = []
        for length in range(order):
            if length:
                in_front = held.tokens[held.starts + held.window - length]
                keys, numbers = np.unique(numbers * vocabulary_size + in_front, return_inverse=True)
            pairs, pair, counts = np.unique(
                numbers * vocabulary_size + targets, return_inverse=True, return_counts=True
            )
            context, followers = np.divmod(pairs, vocabulary_size)
            totals = np.bincount(numbers, minlength=len(keys))
            heard = totals[numbers] - _occurrences(numbers, song)
            followed = counts[pair] - _occurrences(pair, song)
            weights, foreseen = _weigh(heard, followed, foreseen)
            starts = np.searchsorted(context, np.arange(len(keys) + 1))
            believed = weights[_power(totals)]
            levels.append(_Contexts(keys, totals, believed, starts, followers, counts))
        return cls(vocabulary_size, tuple(levels)), foreseen

    def probabilities(self, windows: Tokens) -> Row:
        """Return float64 [n, V] for windows int32 [n, at least order - 1]."""
        rows = np.arange(len(windows))
        numbers = np.zeros(len(windows), dtype=np.int64)
        result = np.full((len(windows), self.size), 1 / self.size)
        for length, level in enumerate(self.levels):
            if not len(level.keys):
                break
            if length:
                keys = numbers * self.size + windows[rows, -length]
                numbers = np.minimum(np.searchsorted(level.keys, keys), len(level.keys) - 1)
                # A context that is not there has no longer one, either.
                there = level.keys[numbers] == keys
                rows, numbers = rows[there], numbers[there]
            _interpolate(result, rows, level, numbers)
        return result


def _interpolate(result: Row, rows: Ints, level: _Contexts, numbers: Ints) -> None:
    """Go a token of context further in `rows` of `result`, whose contexts are `numbers`."""
    first, distinct = level.starts[numbers], np.diff(level.starts)[numbers]
    weight = level.weights[numbers]
    result[rows] *= (1 - weight)[:, None]
    places = ranges(first, distinct)
    seen = level.counts[places] * np.repeat(weight / level.totals[numbers], distinct)
    result[np.repeat(rows, distinct), level.followers[places]] += seen


def ranges(starts: Ints, lengths: Ints) -> Ints:
    """Return the numbers from each start on, as many as its length, one range after the other."""
    ends = np.cumsum(lengths)
    numbers: Ints = np.repeat(starts - ends + lengths, lengths)
    numbers += np.arange(len(numbers))
    return numbers


def _occurrences(keys: Ints, song: Ints) -> Ints:
    """Return how often each place's key, int64 [n], occurs in its own song, int64 [n]."""
    songs = int(song.max(initial=0)) + 1
    _, place, counts = np.unique(keys * songs + song, return_inverse=True, return_counts=True)
    return counts[place]


def _weigh(heard: Ints, followed: Ints, shorter: Row) -> tuple[Row, Row]:
    """Return the most likely weight of contexts by the power of two of their count.

    Expectation maximisation of a mixture of two parts, from one half (Jelinek and Mercer 1980);
    half an observation each way keeps a weight off 0 and 1. A power that never occurred takes the
    weight of the next lower one that did.

    Args:
        heard: int64 [n], how often the context of each training frame occurs in the other songs.
        followed: int64 [n], how often this frame follows it there.
        shorter: float64 [n], what one token of context less says of the frame.

    Returns:
        float64 [64], and what this context says of the frame, float64 [n].
    """
    known = np.flatnonzero(heard)
    power, less = _power(heard[known]), shorter[known]
    share = followed[known] / heard[known]
    some = slice(None, None, 1 + len(known) // _FITTED)
    count = np.bincount(power[some], minlength=_POWERS)
    weights = np.full(_POWERS, 0.5)
    for _ in range(_ROUNDS):
        own = weights[power[some]] * share[some]
        own /= own + (1 - weights[power[some]]) * less[some]
        weights = (np.bincount(power[some], own, _POWERS) + 0.5) / (count + 1)
    lower = np.maximum.accumulate(np.where(count, np.arange(_POWERS), 0))
    weights = weights[lower]
    foreseen = shorter.copy()
    foreseen[known] = weights[power] * share + (1 - weights[power]) * less
    return weights, foreseen


def _power(counts: Ints) -> Ints:
    """Return floor(log2(c)), int64 [n], of counts of at least 1."""
    return np.frexp(counts)[1].astype(np.int64) - 1


_POWERS = 64
_FITTED = 200_000
"""Training frames, evenly spread, that weights are fitted to: enough for a dozen numbers."""

_ROUNDS = 20
"""After which the weights stand still in the second decimal."""
