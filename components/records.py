"""Songs as tf.train.Example records, written and read without TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tunesmith.components.protos import example_pb2
from tunesmith.music import Frame, frame_name, parse_frame


class SongFrames(NamedTuple):
    """A song as frames, under the name (its path as bytes) that it keeps in the pipeline."""

    song_id: bytes
    frames: list[Frame]


def write_frames(song_id: bytes, frames: Sequence[Frame]) -> bytes:
    """Return the record of a song as frames (``song_id`` bytes, ``frames`` bytes [n])."""
    example = example_pb2.Example()
    _set_song_id(example, song_id)
    names = example.features.feature["frames"].bytes_list.value
    names.extend(frame_name(frame).encode() for frame in frames)
    return example.SerializeToString(deterministic=True)


def read_frames(record: bytes) -> SongFrames:
    """Read what :func:`write_frames` wrote."""
    feature = example_pb2.Example.FromString(record).features.feature
    song_id = feature["song_id"].bytes_list.value[0]
    # A song repeats its frames hundreds of times: parse each name once.
    known: dict[bytes, Frame] = {}
    frames = []
    for name in feature["frames"].bytes_list.value:
        if name not in known:
            known[name] = parse_frame(name.decode())
        frames.append(known[name])
    return SongFrames(song_id, frames)


def write_tokens(song_id: bytes, tokens: Sequence[int], frames_per_second: float) -> bytes:
    """Return the Examples record of a song (``song_id``, ``tokens``, ``frames_per_second``)."""
    example = example_pb2.Example()
    _set_song_id(example, song_id)
    example.features.feature["tokens"].int64_list.value.extend(tokens)
    example.features.feature["frames_per_second"].float_list.value.append(frames_per_second)
    return example.SerializeToString(deterministic=True)


def _set_song_id(example: example_pb2.Example, song_id: bytes) -> None:
    example.features.feature["song_id"].bytes_list.value.append(song_id)
