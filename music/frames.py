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


def frames_from_piano_roll(roll: NDArray[np.float64]) -> list[Frame]:
    """Return one frame per column of `roll`.

    Args:
        roll: [128, columns], any value above zero sounds.
    """
    # nonzero of the transpose comes sorted by column, then by pitch: ascending frames for free.
    columns, pitches = np.nonzero(roll.T > 0)
    bounds = np.searchsorted(columns, np.arange(roll.shape[1] + 1))
    listed = pitches.tolist()
    return [tuple(listed[start:end]) for start, end in itertools.pairwise(bounds)]


def merge_frames(parts: Sequence[Sequence[Frame]]) -> list[Frame]:
    """Return the union, column by column, of sequences that start together."""
    length = max((len(part) for part in parts), default=0)
    return [
        make_frame(pitch for part in parts if column < len(part) for pitch in part[column])
        for column in range(length)
    ]


def trim(frames: Sequence[Frame]) -> list[Frame]:
    """Return `frames` from the first sounding frame to the last; empty if none sounds."""
    sounding = [index for index, frame in enumerate(frames) if frame]
    return list(frames[sounding[0] : sounding[-1] + 1]) if sounding else []
