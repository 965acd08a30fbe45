"""The n-gram of the training songs that a served model carries.

It is read from the ``drafter`` signature when a song is first guessed ahead: one call, and two
arrays, described in docs/model.md. A guess needs no more than a rough distribution: what the model
itself answered in a song predicts that song better, see :mod:`tunesmith.client.speculation`.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tunesmith.client.errors import BadResponse
from tunesmith.client.exchange import Exchange
from tunesmith.client.model import ServedModel, output

Ints = NDArray[np.int32]
Row = NDArray[np.float64]

FORMAT = 2
"""Version of the arrays that this module reads. Of a model with another one, such as those of
release 0.1.0, no n-gram is read, and songs come a little later."""

MAXIMUM_BYTES = 16 * 2**20
"""Maximum size of an unpacked array; exporters keep below it."""

_TOKENS = 4
"""Columns of a context's tokens, the last token first; two more are its weight and the number of
tokens that followed it. A follower has two columns: the token, and how often it followed."""

_WEIGHT_ONE = 1000
_NO_TOKEN = -1


def served_ngram(model: ServedModel) -> Exchange[NGram | None]:
    """Return the n-gram of a model, read once; None where it has none, or one of another format.

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
    # Token 0 is answered with the whole.
    answer = yield from model.ask("drafter", {"token_ids": np.zeros(1, np.int32)})
    if output(answer, "format", "i", (1,))[0] != FORMAT:
        return None
    [contexts] = output(answer, "contexts", "O", (1,))
    [followers] = output(answer, "followers", "O", (1,))
    return NGram(unpack(contexts, _TOKENS + 2), unpack(followers, 2), len(model.vocabulary))


def unpack(packed: bytes, columns: int) -> Ints:
    """Return an array of columns that was compressed with zlib, int32 [columns, rows].

    No more than :data:`MAXIMUM_BYTES` are unpacked, however much `packed` holds.

    Raises:
        BadResponse: it is no such array, or a larger one.
    """
    stream = zlib.decompressobj()
    try:
        unpacked = stream.decompress(packed, MAXIMUM_BYTES)
    except zlib.error as error:
        raise _broken(f"zlib: {error}") from error
    if not stream.eof or len(unpacked) % (4 * columns):
        raise _broken(f"an array is cut off, or larger than {MAXIMUM_BYTES:,} bytes")
    return np.frombuffer(unpacked, "<i4").astype(np.int32, copy=False).reshape(columns, -1)


class NGram:
    """An n-gram interpolated down to how frequent each token is.

    p(w | h) = a(h) c(h w) / c(h) + (1 - a(h)) p(w | h')

    with h' the context h without its oldest token (Jelinek and Mercer 1980); an unknown context
    leaves p(w | h'). The weights a(h) come with the counts.

    Args:
        contexts: int32 [6, k], sorted by the tokens; see docs/model.md.
        followers: int32 [2, m], likewise.
        size: V.

    Raises:
        BadResponse: the numbers are not those of an n-gram.
    """

    def __init__(self, contexts: Ints, followers: Ints, size: int) -> None:
        *tokens, weights, distinct = contexts
        followed, counts = followers
        if (distinct < 1).any() or distinct.sum(dtype=np.int64) != len(followed):
            raise _broken("a context has lost what followed it")
        if ((weights < 0) | (weights >= _WEIGHT_ONE)).any() or (counts < 1).any():
            raise _broken("a weight or a count is out of range")
        if ((followed < 0) | (followed >= size)).any():
            raise _broken("a token is out of range")
        # Bisection reads single numbers, which a memoryview has at hand sooner than an array.
        self._tokens = [memoryview(column) for column in tokens]
        self._followers = followed
        self._weights = weights / _WEIGHT_ONE
        self._ends = np.cumsum(distinct, dtype=np.int64)
        self._starts = self._ends - distinct
        # Half an occurrence for each: a token that the training split lacks can be drawn, too.
        occurrences = np.full(size, 0.5)
        self._shares = np.zeros(0)
        if len(distinct):
            totals = np.add.reduceat(counts, self._starts, dtype=np.int64)
            self._shares = counts * np.repeat(self._weights / totals, distinct)
            if tokens[0][0] == _NO_TOKEN:
                occurrences[followed[: distinct[0]]] += counts[: distinct[0]]
        self._unigram: Row = occurrences / occurrences.sum()

    def row(self, heard: Sequence[int]) -> Row:
        """Return the distribution after the tokens `heard`, oldest first; float64 [V]."""
        row = self._unigram.copy()
        # The contexts that end with the tokens looked at so far stand together, the shortest first.
        first, last = 0, len(self._ends)
        for depth, token in enumerate(reversed(heard[-_TOKENS:]), 1):
            column = self._tokens[depth - 1]
            first = bisect_left(column, token, first, last)
            last = bisect_right(column, token, first, last)
            if first == last or (depth < _TOKENS and self._tokens[depth][first] != _NO_TOKEN):
                break
            some = slice(self._starts[first], self._ends[first])
            row *= 1 - self._weights[first]
            row[self._followers[some]] += self._shares[some]
        return row


def _broken(reason: str) -> BadResponse:
    return BadResponse(
        f"the model's n-gram cannot be used ({reason}): export the model again, or compose with "
        "speculate=0"
    )
