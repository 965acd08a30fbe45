"""Frames: the set of pitches that sound in one column of a piano roll.

A frame is an ascending tuple of MIDI pitches; the empty tuple is the rest. Vocabulary files and
served models contain the names of frames: ``e`` is the rest, ``60`` and ``60,64,67`` are pitches
joined by commas.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from tunesmith.music.errors import MusicError

Frame = tuple[int, ...]

PITCHES = 128
REST: Frame = ()
REST_NAME = "e"


def make_frame(pitches: Iterable[int]) -> Frame:
    """Return the frame of `pitches` (MIDI numbers 0..127, any order, repeats merged).

    Raises:
        MusicError: a pitch is outside 0..127.
    """
    frame = tuple(sorted(set(pitches)))
    if frame and not (frame[0] >= 0 and frame[-1] < PITCHES):
        raise MusicError(
            f"a pitch must be a MIDI number from 0 to 127: found {frame[0]}..{frame[-1]}"
        )
    return frame


def frame_name(frame: Frame) -> str:
    """Return the name of `frame`: ``e`` or its ascending pitches joined by commas."""
    return ",".join(map(str, frame)) if frame else REST_NAME


def parse_frame(name: str) -> Frame:
    """Return the frame with the name `name`; the inverse of :func:`frame_name`.

    Raises:
        MusicError: `name` is neither ``e`` nor ascending pitches joined by commas.
    """
    if name == REST_NAME:
        return REST
    try:
        frame = make_frame(int(part) for part in name.split(","))
    except ValueError as error:
        raise MusicError(f"{name!r} is not a frame: write e, 60 or 60,64,67") from error
    if frame_name(frame) != name:
        raise MusicError(f"{name!r} is not a frame: write {frame_name(frame)!r}")
    return frame


PackedFrames = NDArray[np.uint8]
"""uint8 [n, 16]: the 128 pitches of each frame as bits, pitch 0 first; for vectorised code."""

PACKED_BYTES = PITCHES // 8


def pack_frames(frames: Sequence[Frame]) -> PackedFrames:
    """Return `frames` as bits, uint8 [n, 16]."""
    bits = np.zeros((len(frames), PITCHES), dtype=bool)
    rows = [row for row, frame in enumerate(frames) for _ in frame]
    bits[rows, [pitch for frame in frames for pitch in frame]] = True
    return np.packbits(bits, axis=1)


def unpack_frames(packed: PackedFrames) -> list[Frame]:
    """Return the frames of bits, uint8 [n, 16]; the inverse of :func:`pack_frames`."""
    rows, pitches = np.nonzero(np.unpackbits(packed, axis=1))
    bounds = np.searchsorted(rows, np.arange(len(packed) + 1)).tolist()
    listed = pitches.tolist()
    return [tuple(listed[start:end]) for start, end in itertools.pairwise(bounds)]


def packed_keys(packed: PackedFrames) -> list[bytes]:
    """Return the bytes of each frame, usable as dictionary keys."""
    content, width = packed.tobytes(), packed.shape[1]
    return [content[at : at + width] for at in range(0, len(content), width)]


def distinct_frames(roll: NDArray[np.bool_]) -> tuple[PackedFrames, NDArray[np.int32]]:
    """Return the distinct columns of a piano roll as frames.

    Args:
        roll: piano roll, bool [128, columns].

    Returns:
        The distinct frames, uint8 [k, 16], sorted; and the index of each column's frame among them,
        int32 [columns].
    """
    return distinct_rows(pack_roll(roll))


def pack_roll(roll: NDArray[np.bool_]) -> PackedFrames:
    """Return the columns of a piano roll, bool [128, columns], as frames, uint8 [columns, 16]."""
    return np.ascontiguousarray(np.packbits(roll, axis=0).T)


def distinct_rows(packed: PackedFrames) -> tuple[PackedFrames, NDArray[np.int32]]:
    """Return the distinct rows and the index of each row among them; see :func:`distinct_frames`.

    Args:
        packed: uint8 [n, bytes], contiguous.
    """
    # As a void dtype each row is a single value, which numpy can sort.
    whole = packed.view(f"V{packed.shape[1]}")[:, 0]
    _, first, ids = np.unique(whole, return_index=True, return_inverse=True)
    return packed[first], ids.astype(np.int32)
