"""Where each song's record lies in the shards of Examples, so that any songs can be read alone.

The index is ordered by the songs' tokens and not by their place on disk: the same songs in other
shards, or under other names, have the same index but for the places.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.errors import ComponentError

if TYPE_CHECKING:
    import tensorflow as tf

_HEADER = 12
"""Bytes before a TFRecord's content: its length, uint64, and a checksum, uint32."""

_FOOTER = 4
"""Bytes after it: a checksum."""

_RECORDS = 256
"""Read at a time."""


def song_digest(tokens: NDArray[np.int32]) -> bytes:
    """Return 16 bytes that name a song by its tokens, int32 [n]."""
    return hashlib.blake2b(tokens.astype("<i4").tobytes(), digest_size=16).digest()


@dataclass(frozen=True)
class SongIndex:
    """The songs of a split, ordered by the digest of their tokens.

    Args:
        shards: the TFRecord files.
        shard: int32 [songs], which of them holds the song.
        offset: int64 [songs], where in it the record's content starts, in bytes.
        size: int64 [songs], of the content, in bytes.
        lengths: int64 [songs], tokens of the song.
        digest: names the songs, wherever they lie.
    """

    shards: tuple[Path, ...]
    shard: NDArray[np.int32]
    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    lengths: NDArray[np.int64]
    digest: str

    @classmethod
    def of(cls, shards: Sequence[Path]) -> SongIndex:
        """Read every record of `shards` once; songs without a token are left out.

        Raises:
            ComponentError: a shard is damaged.
        """
        import tensorflow as tf

        digests: list[bytes] = []
        rows: list[tuple[int, int, int, int]] = []
        for number, shard in enumerate(shards):
            position = 0
            records = tf.data.TFRecordDataset(str(shard)).batch(_RECORDS).map(_parsed)
            try:
                for sizes, tokens, splits in records.as_numpy_iterator():
                    songs = np.split(tokens.astype(np.int32), splits[1:-1])
                    for size, song in zip(sizes.tolist(), songs, strict=True):
                        position += _HEADER
                        if len(song):
                            rows.append((number, position, size, len(song)))
                            digests.append(song_digest(song))
                        position += size + _FOOTER
            except tf.errors.OpError as error:
                raise ComponentError(
                    f"{shard} is damaged ({error.message.splitlines()[0]}): make it again"
                ) from error
        order = sorted(range(len(rows)), key=digests.__getitem__)
        columns = np.array(rows, dtype=np.int64).reshape(-1, 4)[order].T
        name = hashlib.blake2b(b"".join(sorted(digests)), digest_size=16).hexdigest()
        shard_numbers, offset, size, lengths = (np.ascontiguousarray(column) for column in columns)
        return cls(tuple(shards), shard_numbers.astype(np.int32), offset, size, lengths, name)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def tokens(self) -> int:
        """Tokens of all songs."""
        return int(self.lengths.sum())

    def in_order(self) -> Iterator[NDArray[np.int32]]:
        """Yield the tokens of every song, int32 [n], in the order of the index."""
        for some in np.array_split(np.arange(len(self)), 1 + len(self) // _RECORDS):
            yield from sorted(self.read(some), key=song_digest)

    def read(self, songs: NDArray[np.int64]) -> list[NDArray[np.int32]]:
        """Return the tokens, int32 [n] each, of the songs with the numbers `songs`, int64 [k].

        They come in the order in which they lie on disk.
        """
        import tensorflow as tf

        places = songs[np.lexsort((self.offset[songs], self.shard[songs]))]
        found: list[NDArray[np.int32]] = []
        for number in np.unique(self.shard[places]).tolist():
            with self.shards[number].open("rb") as file:
                here = places[self.shard[places] == number]
                for some in np.array_split(here, -(-len(here) // _RECORDS)):
                    contents = []
                    for place in some.tolist():
                        file.seek(self.offset[place])
                        contents.append(file.read(self.size[place]))
                    _, tokens, splits = _parsed(tf.constant(contents))
                    found += np.split(tokens.numpy().astype(np.int32), splits.numpy()[1:-1])
        return found


def _parsed(records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return the sizes in bytes of `records`, string [k], their tokens and the tokens' splits."""
    import tensorflow as tf

    features = {"tokens": tf.io.RaggedFeature(tf.int64)}
    tokens = tf.io.parse_example(records, features)["tokens"]
    return tf.strings.length(records), tokens.values, tf.cast(tokens.row_splits, tf.int64)
