"""Transposition of tokens within the vocabulary, and noise: augmentation of training windows.

The vocabulary is not extended, so that no frame is predicted that occurs in no song. A transposed
frame outside the vocabulary is mapped to the token with the largest overlap.
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
"""Training windows per token of the vocabulary, below which ``keys = auto`` transposes the windows;
the paper's songs have 39, the demo's chorales 79, POP909's melodies 1,223 (docs/gates.md)."""

UNKNOWN_SHARE = 0.1
"""Maximum share of a window's tokens without a token in another key; they are not transposed."""


def shift_table(vocabulary: TokenVocabulary) -> NDArray[np.int32]:
    """Return the transposed token of each token in each key, int32 [keys, V].

    Frames are parsed from their names: each number is a pitch. -1 means that no frame of the same
    part has a pitch in common with the transposed one. Row ``KEYS.index(0)`` is 0, 1, 2, …
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
    """Return each window, with its targets and weights, transposed to a random key.

    A window is not transposed if a target has no token in the key, or more than a tenth of its
    tokens have none.

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
    """Return windows with a share of the tokens replaced by random tokens of the batch.

    This is unigram noising (Xie et al. 2017), which corresponds to the smoothing of counts.

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
