"""Songs as tf.train.Example records, written and read without TensorFlow."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.records.protos import example_pb2
from tunesmith.music.frames import PACKED_BYTES, PackedFrames, distinct_rows

if TYPE_CHECKING:
    from tunesmith.music.reading import SongReading


class SongFrames(NamedTuple):
    """A song as frames.

    Attributes:
        song_id: its path below the MIDI folder, as the file system's bytes.
        distinct: uint8 [k, 16], the frames that occur, each once.
        ids: int32 [frames], which of `distinct` each frame is.
        frames_per_second: how long a frame lasts, on average.
        struck: uint8 [k, 16], which pitches are struck in each of `distinct`, where the songs were
            read with onsets; frames that sound the same and strike other pitches are two then.
    """

    song_id: bytes
    distinct: PackedFrames
    ids: NDArray[np.int32]
    frames_per_second: float
    struck: PackedFrames | None = None

    @classmethod
    def of_reading(cls, song_id: bytes, song: SongReading) -> Self:
        """Return a song as it was read."""
        if song.struck is None:
            return cls(song_id, song.distinct, song.ids, song.frames_per_second)
        pairs, ids = distinct_rows(np.hstack([song.distinct[song.ids], song.struck]))
        sounding, struck = pairs[:, :PACKED_BYTES], pairs[:, PACKED_BYTES:]
        return cls(song_id, sounding, ids, song.frames_per_second, struck)

    @property
    def packed(self) -> PackedFrames:
        """The frames that occur, uint8 [k, 16]; with what is struck behind it, uint8 [k, 32]."""
        return self.distinct if self.struck is None else np.hstack([self.distinct, self.struck])

    def plain(self) -> Self:
        """Return the song without what is struck."""
        if self.struck is None:
            return self
        distinct, ids = distinct_rows(np.ascontiguousarray(self.distinct))
        return self._replace(distinct=distinct, ids=ids[self.ids], struck=None)


def write_frames(song: SongFrames) -> bytes:
    """Return the record of a song as frames.

    ``song_id`` bytes, ``distinct`` bytes (uint8 [k, 16], the frames that occur), ``ids`` bytes
    (int32 [n] little-endian, which of them each frame is, deflated), ``frames_per_second`` float;
    with onsets ``struck`` bytes (uint8 [k, 16], which pitches are struck in each).
    A song repeats its frames, so every step that follows works on the k and not on the n, and
    deflating leaves a sixth of what a runner would have to hold.
    """
    example = example_pb2.Example()
    _set_song(example, song.song_id, song.frames_per_second)
    feature = example.features.feature
    feature["distinct"].bytes_list.value.append(song.distinct.tobytes())
    feature["ids"].bytes_list.value.append(zlib.compress(song.ids.astype("<i4").tobytes(), level=1))
    if song.struck is not None:
        feature["struck"].bytes_list.value.append(song.struck.tobytes())
    return example.SerializeToString(deterministic=True)


def read_frames(record: bytes) -> SongFrames:
    """Read what :func:`write_frames` wrote."""
    feature = example_pb2.Example.FromString(record).features.feature
    struck = feature["struck"].bytes_list.value if "struck" in feature else ()
    ids = zlib.decompress(feature["ids"].bytes_list.value[0])
    return SongFrames(
        feature["song_id"].bytes_list.value[0],
        _packed(feature["distinct"].bytes_list.value[0]),
        np.frombuffer(ids, dtype="<i4"),
        feature["frames_per_second"].float_list.value[0],
        _packed(struck[0]) if struck else None,
    )


def _packed(content: bytes) -> PackedFrames:
    return np.frombuffer(content, dtype=np.uint8).reshape(-1, PACKED_BYTES)


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
