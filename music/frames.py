"""Frames: the set of pitches that sound in one column of a piano roll.

A frame is an ascending tuple of MIDI pitches; the empty tuple is the rest. Its name, which is what
a vocabulary file and the served model hold, is ``e`` for the rest and otherwise the pitches joined
by commas: ``60``, ``60,64,67``.
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
        raise MusicError(f"a pitch is a MIDI number from 0 to 127, not {frame[0]}..{frame[-1]}")
    return frame


def frame_name(frame: Frame) -> str:
    """Return the name of `frame`: ``e`` or its ascending pitches joined by commas."""
    return ",".join(map(str, frame)) if frame else REST_NAME


def parse_frame(name: str) -> Frame:
    """Return the frame that `name` names; the inverse of :func:`frame_name`.

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
        raise MusicError(f"{name!r} is not a frame: its name is {frame_name(frame)!r}")
    return frame


PackedFrames = NDArray[np.uint8]
"""uint8 [n, 16]: a frame's 128 pitches as bits, pitch 0 first, for work on many frames at once."""

PACKED_BYTES = PITCHES // 8


def pack_frames(frames: Sequence[Frame]) -> PackedFrames:
    """Return `frames` as bits."""
    bits = np.zeros((len(frames), PITCHES), dtype=bool)
    rows = [row for row, frame in enumerate(frames) for _ in frame]
    bits[rows, [pitch for frame in frames for pitch in frame]] = True
    return np.packbits(bits, axis=1)


def unpack_frames(packed: PackedFrames) -> list[Frame]:
    """Return the frames of their bits; the inverse of :func:`pack_frames`."""
    rows, pitches = np.nonzero(np.unpackbits(packed, axis=1))
    bounds = np.searchsorted(rows, np.arange(len(packed) + 1)).tolist()
    listed = pitches.tolist()
    return [tuple(listed[start:end]) for start, end in itertools.pairwise(bounds)]


def packed_keys(packed: PackedFrames) -> list[bytes]:
    """Return each frame's bytes, which can be counted and looked up."""
    content, width = packed.tobytes(), packed.shape[1]
    return [content[at : at + width] for at in range(0, len(content), width)]


def distinct_frames(roll: NDArray[np.bool_]) -> tuple[PackedFrames, NDArray[np.int32]]:
    """Return the columns of a piano roll as frames, each distinct one once.

    Args:
        roll: bool [128, columns], what sounds.

    Returns:
        The distinct frames in an order that they alone decide, and int32 [columns], which of them
        each column is.
    """
    return distinct_rows(pack_roll(roll))


def pack_roll(roll: NDArray[np.bool_]) -> PackedFrames:
    """Return the columns of a piano roll, bool [128, columns], as frames, uint8 [columns, 16]."""
    return np.ascontiguousarray(np.packbits(roll, axis=0).T)


def distinct_rows(packed: PackedFrames) -> tuple[PackedFrames, NDArray[np.int32]]:
    """Return frames given as bits, each distinct one once, as :func:`distinct_frames` does.

    Args:
        packed: uint8 [n, bytes], contiguous.
    """
    # As opaque bytes a frame is one value, and equal ones are found by sorting.
    whole = packed.view(f"V{packed.shape[1]}")[:, 0]
    _, first, ids = np.unique(whole, return_index=True, return_inverse=True)
    return packed[first], ids.astype(np.int32)
