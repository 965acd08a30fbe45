"""Struck frames: frames that also record which pitches start (are struck) in them.

In plain frames, a note repeated without a gap equals a held note; struck frames distinguish them.
The name of a struck frame marks each pitch: in ``60!,64~``, 60 is struck and 64 is held. Every
pitch has a mark, so that a program that only knows plain frames refuses the name.
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
    """A frame with its struck pitches.

    As a tuple it is the plain frame, so every function that takes frames accepts it. Two struck
    frames with the same pitches are equal, whatever is struck.
    """

    struck: Frame

    def __new__(cls, pitches: Iterable[int], struck: Iterable[int]) -> Self:
        """Return a struck frame.

        Args:
            pitches: sounding pitches, MIDI numbers 0..127 in any order.
            struck: pitches that start in this frame; the others are held from the frame before.

        Raises:
            MusicError: a pitch is outside 0..127, or a struck pitch is not a sounding one.
        """
        frame = super().__new__(cls, make_frame(pitches))
        frame.struck = make_frame(struck)
        if not set(frame.struck) <= set(frame):
            raise MusicError(
                f"struck pitches must sound: struck {frame.struck}, sounding {tuple(frame)}"
            )
        return frame

    def __getnewargs__(self) -> tuple[Frame, Frame]:
        """Return the constructor arguments for copy and pickle."""
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
    """Return the struck frame with the name `name`; the inverse of :func:`struck_name`.

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
        raise MusicError(f"{name!r} is not a struck frame: write {struck_name(frame)!r}")
    return frame


def plain_frames(frames: Iterable[Frame]) -> list[Frame]:
    """Return `frames` as plain frames."""
    return [tuple(frame) for frame in frames]


def struck_frames(frames: Sequence[Frame]) -> list[StruckFrame]:
    """Return consecutive frames as struck frames.

    In a plain frame, the pitches that do not sound in the frame before are struck.
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
    """Return struck frames as bits, uint8 [n, 32]: sounding pitches, then struck pitches."""
    return np.hstack([pack_frames(frames), pack_frames([frame.struck for frame in frames])])


def pack_decoded(frames: Sequence[Frame]) -> PackedFrames:
    """Return frames that a vocabulary decoded as bits.

    Returns:
        uint8 [n, 32] if one of them is a struck frame, else uint8 [n, 16].
    """
    if any(isinstance(frame, StruckFrame) for frame in frames):
        return pack_struck(struck_frames(frames))
    return pack_frames(frames)


def unpack_struck(packed: PackedFrames) -> list[StruckFrame]:
    """Return the struck frames of bits, uint8 [n, 32]; the inverse of :func:`pack_struck`."""
    sounding, struck = packed[:, :PACKED_BYTES], packed[:, PACKED_BYTES:]
    pairs = zip(unpack_frames(sounding), unpack_frames(struck), strict=True)
    return [StruckFrame(*pair) for pair in pairs]
