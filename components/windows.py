"""Windows of tokens and the token that follows each, cut from song records in tf.data.

Disk and memory hold each token once. A song of n tokens gives n windows: the first is all rests and
its target is the song's first token, which follows the paper's text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import tensorflow as tf

REST_TOKEN = 0


def read_tokens(shards: Sequence[Path]) -> list[NDArray[np.int32]]:
    """Return the tokens, int32 [n], of every song in TFRecord files of Examples."""
    import tensorflow as tf

    features = {"tokens": tf.io.RaggedFeature(tf.int64)}
    records = tf.data.TFRecordDataset([str(shard) for shard in shards])
    songs = records.map(lambda record: tf.io.parse_single_example(record, features)["tokens"])
    return [song.astype(np.int32) for song in songs.as_numpy_iterator()]


@dataclass(frozen=True)
class WindowTable:
    """All windows of a split, without repeating a token.

    Args:
        tokens: int32 [total], the songs one after another, each behind `window` rests.
        starts: int64 [windows], where in `tokens` each window starts; its target is `window`
            places further on.
        window: frames in a window.
    """

    tokens: NDArray[np.int32]
    starts: NDArray[np.int64]
    window: int

    @classmethod
    def from_songs(cls, songs: Sequence[NDArray[np.int32]], window: int) -> WindowTable:
        """Lay out songs, each int32 [n]."""
        rests = np.full(window, REST_TOKEN, dtype=np.int32)
        parts: list[NDArray[np.int32]] = []
        starts: list[NDArray[np.int64]] = []
        position = 0
        for song in songs:
            parts += [rests, song]
            starts.append(np.arange(position, position + len(song), dtype=np.int64))
            position += window + len(song)
        nothing = np.zeros(0, dtype=np.int64)
        return cls(
            np.concatenate(parts) if parts else nothing.astype(np.int32),
            np.concatenate(starts) if starts else nothing,
            window,
        )

    def __len__(self) -> int:
        return len(self.starts)

    def dataset(self, batch: int, shuffle_seed: int | None = None) -> tf.data.Dataset:
        """Return batches of (tokens int32 [batch, window], target int32 [batch]).

        Args:
            batch: windows in a batch; the last may be smaller.
            shuffle_seed: shuffle all windows of all songs together, anew each epoch; in order if
                None.
        """
        import tensorflow as tf

        tokens = tf.constant(self.tokens)
        offsets = tf.range(self.window, dtype=tf.int64)
        starts = tf.data.Dataset.from_tensor_slices(self.starts)
        if shuffle_seed is not None:
            starts = starts.shuffle(len(self), seed=shuffle_seed, reshuffle_each_iteration=True)

        def cut(start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return tf.gather(tokens, start[:, None] + offsets), tf.gather(
                tokens, start + self.window
            )

        return starts.batch(batch).map(cut).prefetch(2)
