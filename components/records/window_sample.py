"""A sample of windows, spread evenly over some songs, for the validation of a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.records.padding import padding
from tunesmith.components.records.song_index import SongIndex
from tunesmith.components.records.windows import filled_up

if TYPE_CHECKING:
    import tensorflow as tf

_SEED = 0
"""Of the places within their strata: always the same sample of the same songs."""


@dataclass(frozen=True)
class WindowSample:
    """Some windows and the token after each, in memory.

    Args:
        windows: int32 [n, window].
        targets: int32 [n].
    """

    windows: NDArray[np.int32]
    targets: NDArray[np.int32]

    @classmethod
    def of(cls, index: SongIndex, window: int, rests: Sequence[int], most: int) -> WindowSample:
        """Take at most `most` windows of the songs of `index`; all of them if there are no more.

        All windows, in the order of the index, are divided into `most` equal stretches, and one is
        drawn from each: at an equal distance they could all fall on one beat. Only songs that one
        is taken from are read.

        Args:
            index: where the songs lie.
            window: tokens in a window.
            rests: the token of each part's rest.
            most: windows.
        """
        total = index.tokens
        if total <= most:
            places = np.arange(total)
        else:
            draws = np.random.default_rng(_SEED).random(most)
            places = np.unique(np.floor((np.arange(most) + draws) * total / most).astype(np.int64))
        ends = np.cumsum(index.lengths)
        songs = np.searchsorted(ends, places, side="right")
        before = padding(rests, window)
        rows = np.empty((len(places), window + 1), np.int32)
        taken = np.unique(songs)
        for number, song in zip(taken.tolist(), index.in_order(taken), strict=True):
            here = slice(*np.searchsorted(songs, (number, number + 1)))
            starts = places[here] - (ends[number] - index.lengths[number])
            padded = np.concatenate([before, song])
            rows[here] = padded[starts[:, None] + np.arange(window + 1)]
        return cls(rows[:, :-1], rows[:, -1])

    def renamed(self, table: NDArray[np.int32]) -> WindowSample:
        """Return the same windows, each token replaced by that which `table`, [V], has for it."""
        return WindowSample(table[self.windows], table[self.targets])

    def __len__(self) -> int:
        return len(self.targets)

    def batches(self, batch: int) -> tf.data.Dataset:
        """Return windows, targets and weights; see
        :meth:`tunesmith.components.records.windows.Windows.batches`.
        """
        import tensorflow as tf

        columns = (self.windows, self.targets, np.ones(len(self), np.float32))
        return tf.data.Dataset.from_tensor_slices(columns).batch(batch).map(filled_up(batch))
