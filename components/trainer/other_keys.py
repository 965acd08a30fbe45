"""Tokens in other keys: which token of the vocabulary a frame becomes when it is shifted.

The vocabulary stays what it is, so that nothing has to be predicted that no song is written with. A
shifted frame that it does not know becomes the known one that it overlaps most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.encodings.encoding import TokenVocabulary
from tunesmith.components.encodings.names import KEYS, shifted
from tunesmith.components.trainer.near_tokens import overlaps, sounding_pitches

if TYPE_CHECKING:
    import tensorflow as tf

FEW_WINDOWS = 100
"""Training windows for each token of the vocabulary below which songs are few, and learned in other
keys; the paper's songs have 39, the demo's chorales 79, POP909's melodies 1,223 (docs/gates.md)."""

UNKNOWN_SHARE = 0.1
"""Of a window's tokens that may have no token in another key; they stay in their own."""


def shift_table(vocabulary: TokenVocabulary) -> NDArray[np.int32]:
    """Return the token that each token becomes in each key, int32 [keys, V].

    Frames are told by their names: each number is a pitch. -1 stands where no frame of the same
    part has a pitch in common with the shifted one. Row ``KEYS.index(0)`` is 0, 1, 2, …
    """
    table = np.empty((len(KEYS), len(vocabulary)), np.int32)
    for part in vocabulary.ranges:
        names = [vocabulary.names[token] for token in part]
        known = dict(zip(names, part, strict=True))
        pitches = sounding_pitches(names)
        for row, shift in enumerate(KEYS):
            for token, name in zip(part, names, strict=True):
                moved = shifted(name, shift)
                if moved in known:
                    table[row, token] = known[moved]
                    continue
                overlap = overlaps(pitches, sounding_pitches([moved])[0])
                best = int(overlap.argmax())
                table[row, token] = part[best] if overlap[best] > 0 else -1
    return table


def in_other_keys(
    windows: tf.Tensor, targets: tf.Tensor, weight: tf.Tensor, table: tf.Tensor, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return each window, with its targets and weights, in a key drawn for it.

    One that the vocabulary cannot say there stays in its own key: where a target has no token, or
    more than a tenth of the window's tokens have none.

    Args:
        windows: int32 [batch, window].
        targets: int32 [batch] or [batch, window].
        weight: float32 like `targets`.
        table: of :func:`shift_table`.
        seed: int64 [2], of the draw.
    """
    import tensorflow as tf

    batch = tf.shape(windows)[0]
    keys = tf.random.stateless_uniform([batch], seed, 0, len(KEYS), tf.int32)

    def in_key(tokens: tf.Tensor) -> tf.Tensor:
        rows = tf.reshape(keys, [-1, *[1] * (tokens.shape.rank - 1)])
        rows = tf.broadcast_to(rows, tf.shape(tokens))
        return tf.gather_nd(table, tf.stack([rows, tokens], axis=-1))

    inputs, outputs = in_key(windows), in_key(targets)
    unknown = tf.reduce_mean(tf.cast(inputs < 0, tf.float32), axis=1) > UNKNOWN_SHARE
    lost = tf.reshape((outputs < 0) & (weight > 0), [batch, -1])
    stays = unknown | tf.reduce_any(lost, axis=1)
    inputs = tf.where(stays[:, None] | (inputs < 0), windows, inputs)
    stays = tf.reshape(stays, [-1, *[1] * (targets.shape.rank - 1)])
    return inputs, tf.where(stays | (outputs < 0), targets, outputs), weight


def noised(windows: tf.Tensor, share: float, seed: tf.Tensor) -> tf.Tensor:
    """Return windows in which a share of the tokens is drawn anew from all tokens of the batch.

    That is a draw by the tokens' frequency: unigram noising (Xie et al. 2017), which is to a
    network what smoothing is to counts.

    Args:
        windows: int32 [batch, window].
        share: of the tokens.
        seed: int64 [2], of the draw.
    """
    import tensorflow as tf

    chosen = tf.random.stateless_uniform(tf.shape(windows), seed) < share
    flat = tf.reshape(windows, [-1])
    places = tf.random.stateless_uniform(
        tf.shape(windows), seed + tf.constant([2, 0], tf.int64), 0, tf.size(flat), tf.int32
    )
    return tf.where(chosen, tf.gather(flat, places), windows)
