"""The n-gram that a served model carries, for clients that guess frames ahead.

A client guesses frames with it and lets the network judge several at a time (speculative decoding,
``client/speculation.py``). A guess decides only how soon a song is there, so the n-gram may be cut
down to its most frequent contexts. The table is described in docs/model.md.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.ngram.counting import ORDER, Ints, NGram, ranges

if TYPE_CHECKING:
    import tensorflow as tf

Songs = Iterable[NDArray[np.integer[Any]]]

FORMAT = 2
"""Version of the packed arrays; a client that does not know it composes without the n-gram. Version
1, of release 0.1.0, was a list of variable-length numbers for each token."""

WEIGHT_ONE = 1000
"""The integer that stands for a weight of one."""

NO_TOKEN = -1
"""Fills up the columns of a context that is shorter than the longest."""

COUNTED_TOKENS = 2_000_000
"""Maximum number of training frames that are counted, the first ones: bounds time and memory."""

UNPACKED_BYTES = 16 * 2**20
"""Maximum size of both arrays unpacked; a client refuses more."""

_CONTEXT_BYTES = 4 * (ORDER + 1)
_FOLLOWER_BYTES = 4 * 2


class PackedNGram(NamedTuple):
    """Two arrays, int32, little-endian, column after column, compressed with zlib.

    Attributes:
        contexts: [k, ORDER + 1]: the last token of a context, the one before it and so on,
            :data:`NO_TOKEN` where it is shorter; its weight; how many different tokens followed it.
            Sorted by the tokens.
        followers: [m, 2]: those tokens, context by context, and how often each followed.
    """

    contexts: bytes
    followers: bytes

    @property
    def size(self) -> int:
        """Return the bytes of both."""
        return len(self.contexts) + len(self.followers)


def pack_ngram(
    songs: Songs, size: int, maximum_bytes: int, rests: Sequence[int]
) -> PackedNGram | None:
    """Count an n-gram of the baselines' order and pack its most frequent contexts.

    Args:
        songs: the training split's tokens, integers [n] each.
        size: V.
        maximum_bytes: of the result.
        rests: the token of each part's rest.

    Returns:
        None if nothing was counted or no context fits.
    """
    model = NGram.count(_first(songs), size, ORDER, rests)
    contexts = _contexts_of(model)
    distinct = contexts[:, ORDER]
    starts = np.cumsum(distinct) - distinct
    followers = np.column_stack(
        [
            np.concatenate([level.followers for level in model.levels]),
            np.concatenate([level.counts for level in model.levels]),
        ]
    )
    # Stable, so that of equally frequent contexts the shorter goes first: none is kept without the
    # shorter ones that it ends with, which are at least as frequent.
    totals = np.concatenate([level.totals for level in model.levels])
    order = np.argsort(-totals, kind="stable")
    unpacked = np.cumsum(_CONTEXT_BYTES + _FOLLOWER_BYTES * distinct[order])
    kept = int(np.searchsorted(unpacked, UNPACKED_BYTES, side="right"))
    while kept:
        some = order[:kept]
        some = some[np.lexsort(contexts[some, ORDER - 2 :: -1].T)]
        of_them = followers[ranges(starts[some], distinct[some])]
        packed = PackedNGram(_packed(contexts[some]), _packed(of_them))
        if packed.size <= maximum_bytes:
            return packed
        kept = kept * maximum_bytes // packed.size
    return None


def _contexts_of(model: NGram) -> Ints:
    """Return the contexts of all lengths, int64 [k, ORDER + 1]; see :class:`PackedNGram`."""
    tokens = np.zeros((len(model.levels[0].keys), 0), dtype=np.int64)
    found = []
    for length, level in enumerate(model.levels):
        if length:
            shorter, in_front = np.divmod(level.keys, model.size)
            tokens = np.column_stack([tokens[shorter], in_front])
        padding = np.full((len(tokens), ORDER - 1 - length), NO_TOKEN)
        # Below one: a filter may forbid the only token that followed.
        weights = np.minimum(np.rint(WEIGHT_ONE * level.weights), WEIGHT_ONE - 1).astype(np.int64)
        found.append(np.column_stack([tokens, padding, weights, np.diff(level.starts)]))
    return np.concatenate(found)


def _packed(table: Ints) -> bytes:
    return zlib.compress(table.T.astype("<i4").tobytes())


def drafter_signature(packed: PackedNGram) -> tf.types.experimental.GenericFunction:
    """Return the ``drafter`` signature; see
    :func:`tunesmith.components.trainer.export.saved_model.export_model`.

    The arrays are in the row of token 0 alone, so that a client of release 0.1.0, which asks for
    all tokens, is not answered with as many copies.
    """
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="token_ids")])
    def served(token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        arrays = packed._asdict().items()
        return {
            "format": tf.fill(tf.shape(token_ids), FORMAT),
            **{name: tf.where(token_ids == 0, tf.constant(value), b"") for name, value in arrays},
        }

    return served


def _first(songs: Songs) -> list[NDArray[np.integer[Any]]]:
    """Return the songs up to the one that reaches :data:`COUNTED_TOKENS`."""
    kept, tokens = [], 0
    for song in songs:
        kept.append(song)
        tokens += len(song)
        if tokens >= COUNTED_TOKENS:
            break
    return kept
