"""What usually follows what: the n-gram of the training songs that a served model carries.

It is read from the ``drafter`` signature when a song is first guessed ahead, and each token's
contexts are unpacked when that token is first met. The layout is in docs/model.md. A guess needs no
more than a rough distribution: what a song's own answers say of it is known better, see
:mod:`tunesmith.client.speculation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunesmith.client.errors import BadResponse
from tunesmith.client.exchange import Exchange
from tunesmith.client.model import VOCABULARY_CHUNK, ServedModel, output

Ints = NDArray[np.int64]
Row = NDArray[np.float64]

FORMAT = 1
"""Of the packed contexts that this module reads."""

_CERTAIN = 127
_LONGEST = 5
"""Bytes of a packed number."""


def served_ngram(model: ServedModel) -> Exchange[NGram | None]:
    """Return the n-gram of a model, read once; None where it has none, or one of a later format.

    Raises:
        BadResponse: the answer makes no sense.
        ComposerError: a call failed.
    """
    if "drafter" not in model.signatures:
        return None
    if "ngram" not in model.kept:
        model.kept["ngram"] = yield from _read(model)
    ngram: NGram | None = model.kept["ngram"]
    return ngram


def _read(model: ServedModel) -> Exchange[NGram | None]:
    size = len(model.vocabulary)
    occurrences: list[int] = []
    contexts: list[bytes] = []
    for first in range(0, size, VOCABULARY_CHUNK):
        ids = np.arange(first, min(first + VOCABULARY_CHUNK, size))
        answer = yield from model.ask("drafter", {"token_ids": ids})
        if (output(answer, "format", "i", ids.shape) != FORMAT).any():
            return None
        occurrences += output(answer, "occurrences", "i", ids.shape).tolist()
        contexts += output(answer, "contexts", "O", ids.shape).tolist()
    return NGram(np.array(occurrences), contexts)


class _Followers(NamedTuple):
    """What followed a context: `tokens` int64 [k], and their shares, float64 [k], of `weight`."""

    weight: float
    tokens: Ints
    shares: Row


class NGram:
    """An n-gram interpolated down to how frequent each token is.

    p(w | h) = a(h) c(h w) / c(h) + (1 - a(h)) p(w | h')

    with h' the context h without its oldest token (Jelinek and Mercer 1980); a context that is not
    packed leaves p(w | h'). The weights a(h) come with the counts.

    Args:
        occurrences: int [V], how often the training songs hold each token.
        contexts: packed, of each of the V tokens.

    Raises:
        BadResponse: the numbers are not those of an n-gram.
    """

    def __init__(self, occurrences: NDArray[np.integer], contexts: Sequence[bytes]) -> None:
        if len(occurrences) != len(contexts) or (occurrences < 0).any():
            raise _broken("its counts do not fit its vocabulary")
        # Half an occurrence for each: a token that the training split lacks can be drawn, too.
        self._unigram = (occurrences + 0.5) / (occurrences + 0.5).sum()
        self._packed = contexts
        self._unpacked: dict[int, dict[tuple[int, ...], _Followers]] = {}

    def row(self, heard: Sequence[int]) -> Row:
        """Return the distribution after the tokens `heard`, oldest first; float64 [V].

        Raises:
            BadResponse: what is packed for the last token makes no sense.
        """
        row: Row = self._unigram.copy()
        if not heard:
            return row
        known = self._contexts(heard[-1])
        for length in range(len(heard)):
            followers = known.get(tuple(heard[-2 : -2 - length : -1]))
            if followers is None:
                break
            row *= 1 - followers.weight
            row[followers.tokens] += followers.shares
        return row

    def _contexts(self, token: int) -> dict[tuple[int, ...], _Followers]:
        """Return the contexts that end with `token`: what stands in front of it, nearest first."""
        if token not in self._unpacked:
            size = len(self._unigram)
            self._unpacked[token] = dict(_unpack(self._packed[token], size))
        return self._unpacked[token]


def decode_numbers(packed: bytes) -> Ints:
    """Return the numbers of LEB128 bytes, int64 [n]: seven bits a byte, the lowest first.

    Raises:
        BadResponse: the bytes end within a number, or one has more than 35 bits.
    """
    groups = np.frombuffer(packed, dtype=np.uint8).astype(np.int64)
    last = np.flatnonzero(groups < 0x80)
    if len(groups) == 0:
        return groups
    lengths = np.diff(last, prepend=-1)
    if len(last) == 0 or last[-1] != len(groups) - 1 or lengths.max() > _LONGEST:
        raise _broken("a number is cut off")
    starts = last - lengths + 1
    place = np.arange(len(groups)) - np.repeat(starts, lengths)
    numbers: Ints = np.add.reduceat((groups & 0x7F) << (7 * place), starts)
    return numbers


def _unpack(packed: bytes, size: int) -> list[tuple[tuple[int, ...], _Followers]]:
    """Return the contexts of a token with what followed each."""
    numbers = decode_numbers(packed)
    if len(numbers) == 0:
        return []
    at = 0

    def take(count: int) -> Ints:
        nonlocal at
        at += count
        if at > len(numbers):
            raise _broken("a context is cut off")
        return numbers[at - count : at]

    [count] = take(1).tolist()
    if count == 0:
        raise _broken("a token has no contexts")
    depths = take(count)
    in_front = take(int(depths.sum())).tolist()
    weights = take(count) / _CERTAIN
    distinct = take(count)
    followers, counts = take(int(distinct.sum())), take(int(distinct.sum()))
    if at != len(numbers) or (weights > 1).any() or not distinct.all():
        raise _broken("a context makes no sense")
    if len(followers) and (followers.max() >= size or counts.min() < 1):
        raise _broken("a token out of range follows")
    ends = np.cumsum(distinct)
    totals = np.add.reduceat(counts, ends - distinct)
    shares = np.asarray(counts * np.repeat(weights / totals, distinct), dtype=np.float64)
    result = []
    front_ends = np.cumsum(depths).tolist()
    for depth, front_end, weight, end, length in zip(
        depths.tolist(), front_ends, weights.tolist(), ends.tolist(), distinct.tolist(), strict=True
    ):
        some = slice(end - length, end)
        followed = _Followers(weight, followers[some], shares[some])
        result.append((tuple(in_front[front_end - depth : front_end]), followed))
    return result


def _broken(what: str) -> BadResponse:
    return BadResponse(
        f"the model's drafter cannot be used ({what}): re-export the model, or compose with "
        "speculate=0"
    )
