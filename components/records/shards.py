"""Writing what a Beam job leaves: the same bytes whatever the runner and its workers.

Beam's own TFRecord sink spreads records over shards as its workers happen to get them. Here a
record's key decides its shard, and its order in it.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Iterable, Mapping

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

from tunesmith.components.records.tfrecord import masked_crc

SONGS_A_SHARD = 1000
"""A shard of about two megabytes: small enough to sort in memory in any number of keys."""

Keyed = tuple[tuple[str, int], tuple[bytes, bytes]]
"""((split, shard), (key, record))."""


def shards_of(songs: Mapping[str, float]) -> dict[str, int]:
    """Return how many shards each split gets, from about how many songs it has."""
    return {split: 1 + int(count) // SONGS_A_SHARD for split, count in songs.items()}


def shard_of(song_id: bytes, shards: int) -> int:
    """Return the shard, 0 up to `shards`, of a song."""
    return zlib.crc32(song_id) % shards


def shard_names(shards: Mapping[str, int]) -> list[str]:
    """Return the names of all files that :class:`WriteShards` leaves."""
    return [_shard_name(split, at, shards) for split in shards for at in range(shards[split])]


def _shard_name(split: str, number: int, shards: Mapping[str, int]) -> str:
    return f"{split}-{number:05d}-of-{shards[split]:05d}.tfrecord"


class WriteShards(beam.PTransform):
    """:data:`Keyed` records to ``<output>/<split>-00000-of-00001.tfrecord`` files.

    Args:
        output: the folder, a path that Beam's file systems know.
        shards: how many each split has; a shard without records is an empty file.
    """

    def __init__(self, output: str, shards: Mapping[str, int]) -> None:
        super().__init__()
        self._output = output
        self._shards = dict(shards)

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        every = [(split, shard) for split, count in self._shards.items() for shard in range(count)]
        return (
            (records, records.pipeline | "Shards" >> beam.Create([(key, None) for key in every]))
            | beam.Flatten()
            | "OfShard" >> beam.GroupByKey()
            | "WriteShard" >> beam.Map(_write_shard, self._output, self._shards)
        )


def _write_shard(
    shard: tuple[tuple[str, int], Iterable[tuple[bytes, bytes] | None]],
    output: str,
    shards: Mapping[str, int],
) -> None:
    (split, number), elements = shard
    name = _shard_name(split, number, shards)
    records = sorted(element for element in elements if element is not None)
    write_file(f"{output}/{name}", b"".join(tfrecord(record) for _, record in records))


def write_file(path: str, content: bytes) -> None:
    """Write a whole file, aside first: of two workers that try the same, both leave it whole."""
    aside = f"{path}.{uuid.uuid4().hex}"
    with FileSystems.create(aside, "application/octet-stream") as file:
        file.write(content)
    FileSystems.rename([aside], [path])


def tfrecord(record: bytes) -> bytes:
    """Return a record as it stands in a TFRecord file.

    Its length (uint64), the masked CRC-32C of that, the record, the masked CRC-32C of it, all
    little-endian, as TensorFlow's guide "TFRecord and tf.train.Example" lays down.
    """
    length = struct.pack("<Q", len(record))
    checksums = (struct.pack("<I", masked_crc(part)) for part in (length, record))
    return b"".join((length, next(checksums), record, next(checksums)))
