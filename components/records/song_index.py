"""The index of the songs in the shards of Examples, for random access.

The index is ordered by the songs' tokens and not by their place on disk: the same songs in other
shards, or under other names, have the same index except for the places.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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

_SHIFTED = re.compile(rb"@[+-]\d+\Z")
"""Suffix of the ``song_id`` of a copy in another key, written by Transform."""


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
        groups: int64 [songs], the same number for songs that are one piece of music: a song, its
            copies in other keys (by their ``song_id``, see :mod:`tunesmith.components.transform`),
            and any song with the tokens of one of them. Numbers run from 0 in the index's order.
        original: bool [songs], whether the song is in the key that it was written in.
        digest: names the songs, wherever they lie.
    """

    shards: tuple[Path, ...]
    shard: NDArray[np.int32]
    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    lengths: NDArray[np.int64]
    groups: NDArray[np.int64]
    original: NDArray[np.bool_]
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
        names: list[bytes] = []
        originals: list[bool] = []
        for number, shard in enumerate(shards):
            position = 0
            records = tf.data.TFRecordDataset(str(shard)).batch(_RECORDS).map(_parsed)
            try:
                for sizes, ids, tokens, splits in records.as_numpy_iterator():
                    songs = np.split(tokens.astype(np.int32), splits[1:-1])
                    for size, song_id, song in zip(sizes.tolist(), ids, songs, strict=True):
                        position += _HEADER
                        if len(song):
                            base = _SHIFTED.sub(b"", song_id)
                            rows.append((number, position, size, len(song)))
                            digests.append(song_digest(song))
                            names.append(hashlib.blake2b(base, digest_size=8).digest())
                            originals.append(base == song_id)
                        position += size + _FOOTER
            except tf.errors.OpError as error:
                raise ComponentError(
                    f"{shard} is damaged ({error.message.splitlines()[0]}): execute Transform again"
                ) from error
        order = sorted(range(len(rows)), key=lambda song: (digests[song], names[song]))
        columns = np.array(rows, dtype=np.int64).reshape(-1, 4)[order].T
        name = hashlib.blake2b(b"".join(sorted(digests)), digest_size=16).hexdigest()
        shard_numbers, offset, size, lengths = (np.ascontiguousarray(column) for column in columns)
        return cls(
            tuple(shards),
            shard_numbers.astype(np.int32),
            offset,
            size,
            lengths,
            _groups([names[song] for song in order], [digests[song] for song in order]),
            np.array(originals, dtype=np.bool_)[order],
            name,
        )

    def subset(self, songs: NDArray[np.int64]) -> SongIndex:
        """Return the index of the songs with the numbers `songs`, int64 [k], in the same order.

        Group numbers stay what they are here.
        """
        songs = np.sort(songs)
        named = hashlib.blake2b(
            self.digest.encode() + songs.astype("<i8").tobytes(), digest_size=16
        )
        return replace(
            self,
            shard=self.shard[songs],
            offset=self.offset[songs],
            size=self.size[songs],
            lengths=self.lengths[songs],
            groups=self.groups[songs],
            original=self.original[songs],
            digest=named.hexdigest(),
        )

    def split_off(self, share: float) -> tuple[SongIndex, SongIndex]:
        """Return (training songs, validation songs).

        The validation songs are about `share` of the groups, at least one and never all: those
        whose original has the smallest digest, so that the choice depends on the songs alone. Only
        the original of a group is a validation song. The second index is empty if `share` is 0 or
        there is a single group.

        Args:
            share: of the groups, from 0 to below 1.
        """
        originals = np.flatnonzero(self.original)
        _, first = np.unique(self.groups[originals], return_index=True)
        judged = originals[np.sort(first)]
        total = len(np.unique(self.groups))
        count = min(max(1, math.floor(share * total + 0.5)), total - 1) if share else 0
        judged = judged[: max(0, count)]
        learned = ~np.isin(self.groups, self.groups[judged])
        return self.subset(np.flatnonzero(learned)), self.subset(judged)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def tokens(self) -> int:
        """Tokens of all songs."""
        return int(self.lengths.sum())

    def in_order(self, songs: NDArray[np.int64] | None = None) -> Iterator[NDArray[np.int32]]:
        """Yield the tokens of every song, int32 [n], in the order of the index.

        Args:
            songs: int64 [k] ascending, the numbers of those that are wanted; None for all.
        """
        songs = np.arange(len(self)) if songs is None else songs
        for some in np.array_split(songs, 1 + len(songs) // _RECORDS):
            yield from sorted(self.read(some), key=song_digest)

    def counts(self, tokens: int) -> NDArray[np.int64]:
        """Read every song, and return how often each of `tokens` tokens occurs, int64 [tokens]."""
        found = np.zeros(tokens, np.int64)
        for song in self.in_order():
            found += np.bincount(song, minlength=tokens)
        return found

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
                    _, _, tokens, splits = _parsed(tf.constant(contents))
                    found += np.split(tokens.numpy().astype(np.int32), splits.numpy()[1:-1])
        return found


def _groups(names: Sequence[bytes], digests: Sequence[bytes]) -> NDArray[np.int64]:
    """Return numbers, int64 [songs], equal for songs that share a name or a digest, directly or by
    way of others; from 0 in the order of the songs.
    """
    parents = list(range(len(names)))

    def root(song: int) -> int:
        while parents[song] != song:
            parents[song] = parents[parents[song]]
            song = parents[song]
        return song

    for keys in (names, digests):
        seen: dict[bytes, int] = {}
        for song, key in enumerate(keys):
            one, other = sorted((root(seen.setdefault(key, song)), root(song)))
            parents[other] = one
    roots = np.array([root(song) for song in range(len(names))], dtype=np.int64)
    return np.unique(roots, return_inverse=True)[1].astype(np.int64)


def _parsed(records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return of `records`, string [k], sizes in bytes, song ids, tokens and the tokens' splits."""
    import tensorflow as tf

    features = {
        "song_id": tf.io.FixedLenFeature([], tf.string, ""),
        "tokens": tf.io.RaggedFeature(tf.int64),
    }
    parsed = tf.io.parse_example(records, features)
    tokens = parsed["tokens"]
    splits = tf.cast(tokens.row_splits, tf.int64)
    return tf.strings.length(records), parsed["song_id"], tokens.values, splits
