"""Reads TFRecord files without TensorFlow or Beam, whose import takes seconds."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import google_crc32c
import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from tunesmith.components.errors import ComponentError
from tunesmith.components.records.protos import example_pb2

_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")


class SongTokens(NamedTuple):
    """A song of Examples.

    Attributes:
        song_id: its path below the MIDI folder, as the file system's bytes; a copy in another key
            ends in ``@+3`` or ``@-2``.
        tokens: int32 [n].
        frames_per_second: how long a frame lasts, on average.
    """

    song_id: bytes
    tokens: NDArray[np.int32]
    frames_per_second: float


def read_songs(shards: Iterable[Path]) -> Iterator[SongTokens]:
    """Yield the songs of TFRecord files of Examples, as they lie.

    Raises:
        ComponentError: a file is damaged, or holds records of another kind.
        OSError: a file cannot be read.
    """
    for shard in shards:
        for record in read_records(shard):
            try:
                feature = example_pb2.Example.FromString(record).features.feature
                song_id = feature["song_id"].bytes_list.value[0]
                speed = feature["frames_per_second"].float_list.value[0]
            except (DecodeError, IndexError) as error:
                raise ComponentError(
                    f"{shard} has no songs as tokens: execute Transform again"
                ) from error
            tokens = np.array(feature["tokens"].int64_list.value, dtype=np.int32)
            yield SongTokens(song_id, tokens, speed)


def read_tokens(shards: Iterable[Path]) -> list[NDArray[np.int32]]:
    """Return the tokens, int32 [n], of every song, in the order of the songs' ids.

    So the result depends on the songs alone, and not on how they are spread over files.
    """
    return [song.tokens for song in sorted(read_songs(shards), key=lambda song: song.song_id)]


def read_records(path: Path) -> Iterator[bytes]:
    """Yield the records of a TFRecord file, each checked by both of its checksums.

    The layout is that of TensorFlow's guide "TFRecord and tf.train.Example": the length (uint64),
    its masked CRC-32C, the record, its masked CRC-32C, all little-endian.

    Raises:
        ComponentError: the file is cut off, or a checksum does not fit.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        while header := file.read(_LENGTH.size + _CRC.size):
            _check(path, header, _LENGTH.size)
            (length,) = _LENGTH.unpack_from(header)
            record = file.read(length + _CRC.size)
            _check(path, record, length)
            yield record[:length]


def _check(path: Path, content: bytes, length: int) -> None:
    """Check that `content` is `length` bytes and their masked checksum."""
    whole = len(content) == length + _CRC.size
    if not whole or _CRC.unpack_from(content, length)[0] != masked_crc(content[:length]):
        what = "a checksum is wrong" if whole else "it ends within a record"
        raise ComponentError(f"{path} is damaged ({what}): execute its component again")


def masked_crc(content: bytes) -> int:
    """Return the masked CRC-32C of `content`, as TFRecord files have it."""
    crc = google_crc32c.value(content)
    return int(((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
