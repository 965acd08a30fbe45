"""Windows of tokens and their targets, cut from song records in tf.data.

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
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.records.padding import padding
from tunesmith.components.records.song_index import SongIndex, song_digest

if TYPE_CHECKING:
    import tensorflow as tf

TABLE_BYTES = 24
"""Of memory a token, at the peak of loading a table: the tokens twice (read, and as a tensor) and
half a batch of parsed records; benchmarks/windows.py prints what it is."""

STREAM_BYTES = 32
"""Of memory a token of a block, at the peak: one block in use, one waiting, one being read;
benchmarks/windows.py prints what it is."""


Targets = Literal["last", "every"]
"""The tokens to predict: the one after the window, or the one after each position."""

Cut = tuple["tf.Tensor", "tf.Tensor", "tf.Tensor"]
"""Windows, targets and weights, as :meth:`Windows.batches` has them."""


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
        """Return the number of windows."""

    def batches(
        self,
        batch: int,
        shuffle: Shuffle | None = None,
        first_step: int = 0,
        targets: Targets = "last",
    ) -> tf.data.Dataset:
        """Return one pass as (tokens int32 [batch, window], target int32, weight float32).

        Target and weight are [batch]; with every target [batch, window], where position t has the
        token after position t. The weight is 1; with every target 1 / window, and 0 for a target
        that is a rest before the song's start. So each token of a song weighs as much as any other
        in a pass, but for those of its end, which fewer windows hold.

        Every batch has the same static shape. The last is filled up with windows of weight 0.

        Args:
            batch: windows in a batch.
            shuffle: the order; in the order of the songs' digests if None.
            first_step: batches that are left out at the start, at no cost.
            targets: see above.
        """


def open_windows(index: SongIndex, window: int, rests: Sequence[int], memory_bytes: int) -> Windows:
    """Return the windows of `index`: a table if it fits into `memory_bytes`, else a stream.

    Beside what the windows take, the index takes 45 bytes a song.

    Args:
        index: where the songs lie.
        window: tokens in a window.
        rests: the token of each part's rest.
        memory_bytes: for the windows.
    """
    if index.tokens * TABLE_BYTES <= memory_bytes:
        return WindowTable.from_songs(index.read(np.arange(len(index))), window, rests)
    return WindowStream(index, window, tuple(rests), max(1, memory_bytes // STREAM_BYTES))


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
    def from_songs(
        cls, songs: Sequence[NDArray[np.int32]], window: int, rests: Sequence[int]
    ) -> WindowTable:
        """Lay out songs, each int32 [n], by the digest of their tokens."""
        ordered = sorted(songs, key=song_digest)
        ends = np.cumsum([len(song) for song in ordered], dtype=np.int64)
        windows = int(ends[-1]) if len(ends) else 0
        tokens = np.empty(windows + window * len(ordered), dtype=np.int32)
        before = padding(rests, window)
        position = 0
        for song in ordered:
            tokens[position : position + window] = before
            position += window
            tokens[position : position + len(song)] = song
            position += len(song)
        return cls(tokens, ends, window)

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def batches(
        self,
        batch: int,
        shuffle: Shuffle | None = None,
        first_step: int = 0,
        targets: Targets = "last",
    ) -> tf.data.Dataset:
        """See :meth:`Windows.batches`."""
        import tensorflow as tf

        tokens, ends = tf.constant(self.tokens), tf.constant(self.ends)
        count = tf.constant(len(self), tf.int64)
        seed = None if shuffle is None else tf.constant(shuffle, tf.int64)
        fill_up = filled_up(batch)

        def numbered(first: tf.Tensor) -> Cut:
            places = tf.range(first, tf.minimum(first + batch, count))
            return fill_up(*_cut(tokens, ends, places, self.window, seed, targets))

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
        window: tokens in a window.
        rests: the token of each part's rest.
        block: windows in a block; the last song of a block may go beyond.
    """

    index: SongIndex
    window: int
    rests: tuple[int, ...]
    block: int

    def __len__(self) -> int:
        return self.index.tokens

    def batches(
        self,
        batch: int,
        shuffle: Shuffle | None = None,
        first_step: int = 0,
        targets: Targets = "last",
    ) -> tf.data.Dataset:
        """See :meth:`Windows.batches`."""
        import tensorflow as tf

        order, limits, starts = self._blocks(shuffle)
        first_window = first_step * batch
        first_block = int(np.searchsorted(starts, first_window, side="right")) - 1

        def read(number: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
            songs = self.index.read(order[limits[number] : limits[number + 1]])
            table = WindowTable.from_songs(songs, self.window, self.rests)
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

            def cut(first: tf.Tensor) -> Cut:
                places = tf.range(first, tf.minimum(first + batch, ends[-1]))
                return _cut(tokens, ends, places, self.window, seed, targets)

            return firsts.map(cut)

        blocks = tf.data.Dataset.range(first_block, len(limits) - 1).map(load).prefetch(1)
        return blocks.flat_map(cut_block).rebatch(batch).map(filled_up(batch)).prefetch(2)

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
    tokens: tf.Tensor,
    ends: tf.Tensor,
    places: tf.Tensor,
    window: int,
    seed: tf.Tensor | None,
    targets: Targets,
) -> Cut:
    """Return windows int32 [n, window], targets and weights at `places` int64 [n] of an order."""
    import tensorflow as tf

    if seed is not None:
        places = tf.random.experimental.index_shuffle(places, seed, ends[-1] - 1)
    song = tf.searchsorted(ends, places, side="right", out_type=tf.int64)
    starts = places + window * song
    offsets = tf.range(window, dtype=tf.int64)
    windows = tf.gather(tokens, starts[:, None] + offsets)
    after = tf.gather(tokens, starts + window)
    if targets == "last":
        return windows, after, tf.ones(tf.shape(places)[:1])
    # The window at a song's place i has its last i tokens, at most, from the song.
    place = places - tf.gather(tf.concat([[0], ends], axis=0), song)
    in_song = place[:, None] + offsets + 1 >= window
    every = tf.concat([windows[:, 1:], after[:, None]], axis=1)
    return windows, every, tf.cast(in_song, tf.float32) / window


def filled_up(batch: int) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], Cut]:
    """Return what makes windows, targets and weights as long as `batch`; filling weighs 0."""
    import tensorflow as tf

    def fill_up(*columns: tf.Tensor) -> Cut:
        missing = batch - tf.shape(columns[0])[0]
        filled = [
            tf.pad(column, [[0, missing], *([[0, 0]] * (column.shape.rank - 1))])
            for column in columns
        ]
        for tensor in filled:
            tensor.set_shape([batch, *tensor.shape[1:]])
        windows, targets, weight = filled
        return windows, targets, weight

    return fill_up
