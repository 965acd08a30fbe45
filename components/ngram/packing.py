"""The drafter: an n-gram of the training songs, small enough to be read from the model itself.

A client guesses frames with it that the network then judges several at a time (speculative
sampling, ``client/speculation.py``). A guess decides nothing but how soon a song is there, so the
n-gram may be cut down to its most frequent contexts. The layout of a packed row is in
docs/model.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.ngram.counting import ORDER, NGram

if TYPE_CHECKING:
    import tensorflow as tf

Ints = NDArray[np.int64]
Songs = Iterable[NDArray[np.integer[Any]]]

FORMAT = 1
"""Of the packed rows; a client that does not know it goes without a drafter."""

CERTAIN = 127
"""Stands for a weight of one: a weight is packed into one byte."""

COUNTED_TOKENS = 2_000_000
"""Training frames that are counted at most, the first ones: bounds time and memory."""

_GROUPS = 5
"""Of seven bits, for numbers below 2 ** 35."""


@dataclass(frozen=True)
class PackedDrafter:
    """What the signature answers.

    Args:
        occurrences: int32 [V], how often each token was counted.
        rows: bytes of each token, the contexts that end with it and what followed them.
    """

    occurrences: NDArray[np.int32]
    rows: list[bytes]

    @classmethod
    def count(
        cls, songs: Songs, size: int, maximum_bytes: int, rests: Sequence[int]
    ) -> PackedDrafter:
        """Count an n-gram of the baselines' order and pack its most frequent contexts.

        Args:
            songs: the training split's tokens, integers [n] each.
            size: V.
            maximum_bytes: of all rows together.
            rests: the token of each part's rest.
        """
        model = NGram.count(_first(songs), size, ORDER, rests)
        occurrences = np.zeros(size, dtype=np.int32)
        unigram = model.levels[0]
        occurrences[unigram.followers] = unigram.counts
        kept: list[list[_Context]] = [[] for _ in range(size)]
        for each in _most_frequent(model, maximum_bytes - size):
            kept[each.tokens[0]].append(each)
        return cls(occurrences, [_packed(each) if each else b"" for each in kept])


class _Context(NamedTuple):
    """`tokens` int64 [1 or more], the last one first; what followed, how often, how far believed.

    `weight` is 0 to :data:`CERTAIN`.
    """

    tokens: Ints
    weight: int
    followers: Ints
    counts: Ints


def drafter_signature(drafter: PackedDrafter) -> tf.types.experimental.GenericFunction:
    """Return the ``drafter`` signature; see
    :func:`tunesmith.components.trainer.export.saved_model.export_model`.
    """
    import tensorflow as tf

    size = len(drafter.rows)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="token_ids")])
    def served(token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        known = (token_ids >= 0) & (token_ids < size)
        ids = tf.clip_by_value(token_ids, 0, size - 1)
        occurrences = tf.gather(tf.constant(drafter.occurrences), ids)
        return {
            "format": tf.fill(tf.shape(token_ids), FORMAT),
            "occurrences": tf.where(known, occurrences, 0),
            "contexts": tf.where(known, tf.gather(tf.constant(drafter.rows), ids), ""),
        }

    return served


def encode_numbers(numbers: Ints) -> bytes:
    """Return the numbers, int64 [n], 0 to 2 ** 35 - 1, as LEB128.

    Seven bits a byte, the lowest first, the eighth bit set on all but a number's last byte: the
    "varint" of protocol buffers (protobuf.dev, "Encoding").
    """
    groups = numbers[:, None] >> (7 * np.arange(_GROUPS)) & 0x7F
    used = np.arange(_GROUPS) < _lengths(numbers)[:, None]
    goes_on = np.zeros_like(groups)
    goes_on[:, :-1] = np.where(used[:, 1:], 0x80, 0)
    return (groups | goes_on)[used].astype(np.uint8).tobytes()


def _lengths(numbers: Ints) -> Ints:
    """Return the bytes of each encoded number, int64 [n]."""
    return 1 + np.count_nonzero(numbers[:, None] >> (7 * np.arange(1, _GROUPS)), axis=1)


def _packed(contexts: Sequence[_Context]) -> bytes:
    """Return the contexts of one token, at least one, column after column."""
    columns = [
        [len(contexts)],
        [len(each.tokens) - 1 for each in contexts],
        *(each.tokens[1:] for each in contexts),
        [each.weight for each in contexts],
        [len(each.followers) for each in contexts],
        *(each.followers for each in contexts),
        *(each.counts for each in contexts),
    ]
    return encode_numbers(np.concatenate([np.asarray(column, np.int64) for column in columns]))


def _most_frequent(model: NGram, maximum_bytes: int) -> Iterator[_Context]:
    """Yield the contexts of one token and more that fit, the most frequent ones."""
    tokens = [np.zeros((1, 0), dtype=np.int64)]
    sizes, totals = [], []
    levels = model.levels[1:]
    for level in levels:
        shorter, in_front = np.divmod(level.keys, model.size)
        tokens.append(np.column_stack([tokens[-1][shorter], in_front]))
        followed = np.concatenate(
            [[0], np.cumsum(_lengths(level.followers) + _lengths(level.counts))]
        )
        of_tokens = _lengths(tokens[-1].ravel()).reshape(tokens[-1].shape).sum(axis=1)
        sizes.append(
            of_tokens + _lengths(np.diff(level.starts)) + 2 + np.diff(followed[level.starts])
        )
        totals.append(level.totals)
    # Stable, so that of equally frequent contexts the shorter goes first: none is kept without the
    # shorter ones that it ends with, which are at least as frequent.
    order = np.argsort(-np.concatenate(totals), kind="stable")
    fitting = order[np.cumsum(np.concatenate(sizes)[order]) <= maximum_bytes]
    firsts = np.cumsum([0, *map(len, totals)])
    for number in fitting:
        at = int(np.searchsorted(firsts, number, side="right")) - 1
        level, place = levels[at], number - firsts[at]
        some = slice(level.starts[place], level.starts[place + 1])
        # Never quite certain: a filter may forbid the only token that followed.
        weight = min(round(CERTAIN * float(level.weights[place])), CERTAIN - 1)
        yield _Context(tokens[at + 1][place], weight, level.followers[some], level.counts[some])


def _first(songs: Songs) -> list[NDArray[np.integer[Any]]]:
    """Return the songs up to the one that reaches :data:`COUNTED_TOKENS`."""
    kept, tokens = [], 0
    for song in songs:
        kept.append(song)
        tokens += len(song)
        if tokens >= COUNTED_TOKENS:
            break
    return kept
