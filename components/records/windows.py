"""Windows of tokens and the token that follows each, cut from song records in tf.data.

Disk and memory hold each token once. A song of n tokens gives n windows: the first is all rests and
its target is the song's first token, which follows the paper's text.

The order of the windows is a pure function of (seed, epoch) and of the songs' contents: songs are
laid out by the digest of their tokens, wherever they lie on disk, and one permutation, computed
place by place (``tf.random.experimental.index_shuffle``), mixes all windows of all songs. So the
whole state of the shuffle is (seed, epoch, step), and any step can be the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.records.song_index import SongIndex, song_digest
from tunesmith.music import REST_TOKEN

if TYPE_CHECKING:
    import tensorflow as tf

TABLE_BYTES = 24
"""Of memory a token, at the peak of loading a table: the tokens twice (read, and as a tensor) and
half a batch of parsed records; benchmarks/windows.py prints what it is."""

STREAM_BYTES = 32
"""Of memory a token of a block, at the peak: one block in use, one waiting, one being read;
benchmarks/windows.py prints what it is."""


class Shuffle(NamedTuple):
    """Names an order of the windows.

    Attributes:
        seed: of the training.
        epoch: counts from 0; each has an order of its own.
    """

    seed: int
    epoch: int


class Windows(Protocol):
    """The windows of a split, in memory or not."""

    def __len__(self) -> int:
        """How many windows there are."""

    def batches(
        self, batch: int, shuffle: Shuffle | None = None, first_step: int = 0
    ) -> tf.data.Dataset:
        """Return one pass as (tokens int32 [batch, window], target int32 [batch], weight).

        Every batch has the same static shape. The last is filled up with windows whose weight,
        float32 [batch], is 0; all others weigh 1.

        Args:
            batch: windows in a batch.
            shuffle: the order; in the order of the songs' digests if None.
            first_step: batches that are left out at the start, at no cost.
        """


def open_windows(index: SongIndex, window: int, memory_bytes: int) -> Windows:
    """Return the windows of `index`: a table if it fits into `memory_bytes`, else a stream.

    Beside what the windows take, the index takes 36 bytes a song.
    """
    if index.tokens * TABLE_BYTES <= memory_bytes:
        return WindowTable.from_songs(index.read(np.arange(len(index))), window)
    return WindowStream(index, window, max(1, memory_bytes // STREAM_BYTES))


@dataclass(frozen=True)
class WindowTable:
    """All windows of some songs, without repeating a token.

    Window i of song j starts `window` * j + i places into `tokens`, where i counts through all
    songs: each song stands behind `window` rests.

    Args:
        tokens: int32 [total], the songs one after another, each behind `window` rests.
        ends: int64 [songs], how many windows the songs up to this one have.
        window: frames in a window.
    """

    tokens: NDArray[np.int32]
    ends: NDArray[np.int64]
    window: int

    @classmethod
    def from_songs(cls, songs: Sequence[NDArray[np.int32]], window: int) -> WindowTable:
        """Lay out songs, each int32 [n], by the digest of their tokens."""
        ordered = sorted(songs, key=song_digest)
        ends = np.cumsum([len(song) for song in ordered], dtype=np.int64)
        windows = int(ends[-1]) if len(ends) else 0
        tokens = np.full(windows + window * len(ordered), REST_TOKEN, dtype=np.int32)
        position = 0
        for song in ordered:
            position += window
            tokens[position : position + len(song)] = song
            position += len(song)
        return cls(tokens, ends, window)

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def batches(
        self, batch: int, shuffle: Shuffle | None = None, first_step: int = 0
    ) -> tf.data.Dataset:
        """See :meth:`Windows.batches`."""
        import tensorflow as tf

        tokens, ends = tf.constant(self.tokens), tf.constant(self.ends)
        count = tf.constant(len(self), tf.int64)
        seed = None if shuffle is None else tf.constant(shuffle, tf.int64)

        def numbered(first: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            places = first + tf.range(batch, dtype=tf.int64)
            weight = tf.cast(places < count, tf.float32)
            windows, targets = _cut(tokens, ends, tf.minimum(places, count - 1), self.window, seed)
            return windows, targets, weight

        firsts = tf.data.Dataset.range(first_step * batch, len(self), batch)
        return firsts.map(numbered).prefetch(2)


@dataclass(frozen=True)
class WindowStream:
    """Windows of more songs than memory holds, shuffled in two levels.

    Each epoch permutes all songs of all shards, takes them in blocks of about `block` windows, and
    mixes the windows of a block. So a block is a random draw from the whole corpus, and a step is
    reached by reading its block alone. Three blocks at most are in memory.

    Args:
        index: where the songs lie.
        window: frames in a window.
        block: windows in a block; the last song of a block may go beyond.
    """

    index: SongIndex
    window: int
    block: int

    def __len__(self) -> int:
        return self.index.tokens

    def batches(
        self, batch: int, shuffle: Shuffle | None = None, first_step: int = 0
    ) -> tf.data.Dataset:
        """See :meth:`Windows.batches`."""
        import tensorflow as tf

        order, limits, starts = self._blocks(shuffle)
        first_window = first_step * batch
        first_block = int(np.searchsorted(starts, first_window, side="right")) - 1

        def read(number: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
            songs = self.index.read(order[limits[number] : limits[number + 1]])
            table = WindowTable.from_songs(songs, self.window)
            return table.tokens, table.ends

        def load(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            tokens, ends = tf.numpy_function(read, [number], (tf.int32, tf.int64))
            tokens.set_shape([None])
            ends.set_shape([None])
            return tokens, ends, number

        def cut_block(tokens: tf.Tensor, ends: tf.Tensor, number: tf.Tensor) -> tf.data.Dataset:
            skipped = tf.where(
                number == first_block, tf.constant(first_window - starts[first_block]), 0
            )
            seed = None
            if shuffle is not None:
                # No other (epoch, block) has this seed.
                seed = tf.stack([shuffle.seed, number * 2**31 + shuffle.epoch])
            firsts = tf.data.Dataset.range(skipped, ends[-1], batch)

            def cut(first: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                places = tf.range(first, tf.minimum(first + batch, ends[-1]))
                return _cut(tokens, ends, places, self.window, seed)

            return firsts.map(cut)

        blocks = tf.data.Dataset.range(first_block, len(limits) - 1).map(load).prefetch(1)
        return blocks.flat_map(cut_block).rebatch(batch).map(_fill_up(batch)).prefetch(2)

    def _blocks(
        self, shuffle: Shuffle | None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return (order of the songs, where in it blocks begin and end, windows before each)."""
        order = np.arange(len(self.index))
        if shuffle is not None:
            order = np.random.default_rng(shuffle).permutation(len(self.index))
        ends = np.cumsum(self.index.lengths[order])
        before = ends - self.index.lengths[order]
        firsts = np.flatnonzero(np.diff(before // self.block, prepend=-1))
        return order, np.append(firsts, len(order)), before[firsts]


def _cut(
    tokens: tf.Tensor, ends: tf.Tensor, places: tf.Tensor, window: int, seed: tf.Tensor | None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return windows int32 [n, window] and targets int32 [n] at `places` int64 [n] of an order."""
    import tensorflow as tf

    if seed is not None:
        places = tf.random.experimental.index_shuffle(places, seed, ends[-1] - 1)
    song = tf.searchsorted(ends, places, side="right", out_type=tf.int64)
    starts = places + window * song
    offsets = tf.range(window, dtype=tf.int64)
    return tf.gather(tokens, starts[:, None] + offsets), tf.gather(tokens, starts + window)


def _fill_up(batch: int) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, ...]]:
    """Return what makes a batch of (windows, targets) as long as `batch`, with its weights."""
    import tensorflow as tf

    def fill_up(windows: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, ...]:
        present = tf.shape(targets)[0]
        missing = [0, batch - present]
        weight = tf.pad(tf.ones([present]), [missing])
        filled = tf.pad(windows, [missing, [0, 0]]), tf.pad(targets, [missing]), weight
        for tensor in filled:
            tensor.set_shape([batch, *tensor.shape[1:]])
        return filled

    return fill_up
