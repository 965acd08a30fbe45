"""Frames: the set of pitches that sound in one column of a piano roll.

A frame is an ascending tuple of MIDI pitches; the empty tuple is the rest. Its name, which is what
a vocabulary file and the served model hold, is ``e`` for the rest and otherwise the pitches joined
by commas: ``60``, ``60,64,67``.
"""

from __future__ import annotations

from collections.abc import Iterable

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


def distinct_frames(
    roll: NDArray[np.bool_],
) -> tuple[tuple[Frame, ...], NDArray[np.int32]]:
    """Return the columns of a piano roll as frames, each distinct one once.

    Args:
        roll: bool [128, columns], what sounds.

    Returns:
        The distinct frames in an order that they alone decide, and int32 [columns], which of them
        each column is.
    """
    # A column is 128 bits: as 16 opaque bytes, equal columns are found by sorting.
    packed = np.ascontiguousarray(np.packbits(roll, axis=0).T).view(f"V{PITCHES // 8}")[:, 0]
    _, first, ids = np.unique(packed, return_index=True, return_inverse=True)
    frames = tuple(tuple(np.flatnonzero(column).tolist()) for column in roll[:, first].T)
    return frames, ids.astype(np.int32)
