"""Songs as tf.train.Example records, written and read without TensorFlow."""

from __future__ import annotations

import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.records.protos import example_pb2
from tunesmith.music.frames import PACKED_BYTES, PackedFrames


class SongFrames(NamedTuple):
    """A song as frames.

    Attributes:
        song_id: its path below the MIDI folder, as the file system's bytes.
        distinct: uint8 [k, 16], the frames that occur, each once.
        ids: int32 [frames], which of `distinct` each frame is.
        frames_per_second: how long a frame lasts, on average.
    """

    song_id: bytes
    distinct: PackedFrames
    ids: NDArray[np.int32]
    frames_per_second: float


def write_frames(song: SongFrames) -> bytes:
    """Return the record of a song as frames.

    ``song_id`` bytes, ``distinct`` bytes (uint8 [k, 16], the frames that occur), ``ids`` bytes
    (int32 [n] little-endian, which of them each frame is, deflated), ``frames_per_second`` float.
    A song repeats its frames, so every step that follows works on the k and not on the n, and
    deflating leaves a sixth of what a runner would have to hold.
    """
    example = example_pb2.Example()
    _set_song(example, song.song_id, song.frames_per_second)
    feature = example.features.feature
    feature["distinct"].bytes_list.value.append(song.distinct.tobytes())
    feature["ids"].bytes_list.value.append(zlib.compress(song.ids.astype("<i4").tobytes(), level=1))
    return example.SerializeToString(deterministic=True)


def read_frames(record: bytes) -> SongFrames:
    """Read what :func:`write_frames` wrote."""
    feature = example_pb2.Example.FromString(record).features.feature
    distinct = feature["distinct"].bytes_list.value[0]
    ids = zlib.decompress(feature["ids"].bytes_list.value[0])
    return SongFrames(
        feature["song_id"].bytes_list.value[0],
        np.frombuffer(distinct, dtype=np.uint8).reshape(-1, PACKED_BYTES),
        np.frombuffer(ids, dtype="<i4"),
        feature["frames_per_second"].float_list.value[0],
    )


def write_tokens(
    song_id: bytes, tokens: NDArray[np.signedinteger], frames_per_second: float
) -> bytes:
    """Return the Examples record of a song (``song_id``, ``tokens``, ``frames_per_second``)."""
    example = example_pb2.Example()
    _set_song(example, song_id, frames_per_second)
    example.features.feature["tokens"].int64_list.value.extend(tokens.tolist())
    return example.SerializeToString(deterministic=True)


def _set_song(example: example_pb2.Example, song_id: bytes, frames_per_second: float) -> None:
    example.features.feature["song_id"].bytes_list.value.append(song_id)
    example.features.feature["frames_per_second"].float_list.value.append(frames_per_second)
