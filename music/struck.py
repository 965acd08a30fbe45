"""Struck frames: frames that also say which of their pitches begin there.

A plain frame says which pitches sound, so a note that is repeated without a gap and a held one are
the same frames. A struck frame tells them apart. Its name marks each pitch: ``60!,64~`` strikes 60
while 64 sounds on. No pitch stands without a mark, so that whoever knows plain frames alone refuses
the name instead of reading another frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np

from tunesmith.music.errors import MusicError
from tunesmith.music.frames import (
    PACKED_BYTES,
    REST,
    REST_NAME,
    Frame,
    PackedFrames,
    make_frame,
    pack_frames,
    unpack_frames,
)

STRUCK_MARK, HELD_MARK = "!", "~"


class StruckFrame(tuple[int, ...]):
    """A frame, and which of its pitches begin in it.

    As a tuple it is the plain frame: whatever takes frames takes it, and two are equal whose
    pitches are, struck or not.
    """

    struck: Frame

    def __new__(cls, pitches: Iterable[int], struck: Iterable[int]) -> Self:
        """Return the frame of some pitches, of which some begin.

        Args:
            pitches: what sounds, MIDI numbers 0..127 in any order.
            struck: those of them that begin; the others sound on from the frame before.

        Raises:
            MusicError: a pitch is outside 0..127, or is struck and does not sound.
        """
        frame = super().__new__(cls, make_frame(pitches))
        frame.struck = make_frame(struck)
        if not set(frame.struck) <= set(frame):
            raise MusicError(f"{frame.struck} are struck, but only {tuple(frame)} sound")
        return frame

    def __getnewargs__(self) -> tuple[Frame, Frame]:
        """Return what copies and pickles are made from."""
        return tuple(self), self.struck

    def __repr__(self) -> str:
        return f"StruckFrame({tuple(self)}, struck={self.struck})"


def struck_name(frame: StruckFrame) -> str:
    """Return the name of a struck frame: ``e``, or its pitches with their marks, ``60!,64~``."""
    if not frame:
        return REST_NAME
    struck = set(frame.struck)
    return ",".join(f"{each}{STRUCK_MARK if each in struck else HELD_MARK}" for each in frame)


def parse_struck(name: str) -> StruckFrame:
    """Return the frame that `name` names; the inverse of :func:`struck_name`.

    Raises:
        MusicError: `name` is neither ``e`` nor ascending pitches, each with a mark.
    """
    parts = [] if name == REST_NAME else name.split(",")
    try:
        pitches = [int(part[:-1]) for part in parts]
        struck = [int(part[:-1]) for part in parts if part[-1] == STRUCK_MARK]
    except (ValueError, IndexError) as error:
        raise MusicError(f"{name!r} is not a struck frame: write e or 60!,64~") from error
    frame = StruckFrame(pitches, struck)
    if struck_name(frame) != name:
        raise MusicError(f"{name!r} is not a struck frame: its name is {struck_name(frame)!r}")
    return frame


def plain_frames(frames: Iterable[Frame]) -> list[Frame]:
    """Return `frames` without what is struck."""
    return [tuple(frame) for frame in frames]


def struck_frames(frames: Sequence[Frame]) -> list[StruckFrame]:
    """Return consecutive frames as struck ones.

    Of a plain frame those pitches are struck that do not sound in the frame before.
    """
    before: Frame = REST
    found = []
    for frame in frames:
        if not isinstance(frame, StruckFrame):
            frame = StruckFrame(frame, set(frame) - set(before))
        found.append(frame)
        before = frame
    return found


def pack_struck(frames: Sequence[StruckFrame]) -> PackedFrames:
    """Return struck frames as bits, uint8 [n, 32]: what sounds, and behind it what is struck."""
    return np.hstack([pack_frames(frames), pack_frames([frame.struck for frame in frames])])


def pack_decoded(frames: Sequence[Frame]) -> PackedFrames:
    """Return frames that a vocabulary decoded as bits: as plain or as struck frames.

    Either uint8 [n, 16] or uint8 [n, 32]: struck where one of them says what is struck.
    """
    if any(isinstance(frame, StruckFrame) for frame in frames):
        return pack_struck(struck_frames(frames))
    return pack_frames(frames)


def unpack_struck(packed: PackedFrames) -> list[StruckFrame]:
    """Return the frames of their bits; the inverse of :func:`pack_struck`."""
    sounding, struck = packed[:, :PACKED_BYTES], packed[:, PACKED_BYTES:]
    pairs = zip(unpack_frames(sounding), unpack_frames(struck), strict=True)
    return [StruckFrame(*pair) for pair in pairs]
