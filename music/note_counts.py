"""Note counts: how many notes of a file keep their onset in its frames, and why others lose it.

A plain frame contains the sounding pitches, not the struck ones. So the onset of a note is kept
only if its pitch does not sound in the frame before. Struck frames (:mod:`tunesmith.music.struck`)
keep all onsets.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

_LAYOUT = struct.Struct("<6Q")

_WHY = {
    "repeated": "merged with the previous note of the same pitch",
    "too_short": "shorter than a frame",
    "doubled": "same pitch and start as another note",
    "outside": "outside the pitch range",
    "bent": "bent to another pitch",
}


class NoteCounts(NamedTuple):
    """Notes of the chosen instruments by outcome; each note counts once.

    Attributes:
        kept: onset kept: the pitch does not sound in the frame before, or the grid keeps onsets.
        outside: pitch outside the range of the grid.
        too_short: starts and ends within one frame, and the grid drops short notes.
        bent: moved by a pitch bend, so that the pitch itself does not sound at the start.
        repeated: the pitch sounds in the frame before, so that both notes become one held note.
        doubled: another note of the same pitch starts in the same frame.
    """

    kept: int = 0
    outside: int = 0
    too_short: int = 0
    bent: int = 0
    repeated: int = 0
    doubled: int = 0

    @property
    def total(self) -> int:
        """Number of notes in the files."""
        return sum(self)

    def lost(self) -> list[tuple[str, int]]:
        """Return (reason, number of notes without an onset), the most frequent reason first."""
        found = [(why, getattr(self, name)) for name, why in _WHY.items()]
        return sorted((each for each in found if each[1]), key=lambda each: -each[1])

    def to_bytes(self) -> bytes:
        """Return the counts as 48 bytes, see :meth:`from_bytes`."""
        return _LAYOUT.pack(*self)

    @classmethod
    def from_bytes(cls, content: bytes) -> NoteCounts:
        """Return the counts of the 48 bytes of :meth:`to_bytes`."""
        return cls(*_LAYOUT.unpack(content))

    def added(self, other: NoteCounts) -> NoteCounts:
        """Return the sums of both counts."""
        return NoteCounts(*(one + two for one, two in zip(self, other, strict=True)))


def count_notes(
    pitch: Ints,
    start: Ints,
    end: Ints,
    roll: NDArray[np.bool_],
    pitches: tuple[int, int],
    keep_onsets: bool = False,
) -> NoteCounts:
    """Count the notes of a song.

    Args:
        pitch: int64 [notes].
        start: start frame of each note, int64 [notes].
        end: end frame of each note (exclusive), int64 [notes].
        roll: piano roll of all these notes, bool [128, frames].
        pitches: lowest and highest pitch of the roll.
        keep_onsets: the frames record struck pitches, so repeated notes are kept.
    """
    total = len(pitch)
    inside = (pitch >= pitches[0]) & (pitch <= pitches[1])
    pitch, start, end = pitch[inside], start[inside], end[inside]
    lasting = end > start
    pitch, start = pitch[lasting], start[lasting]
    sounding = roll[pitch, start]
    before = sounding & (start > 0) & roll[pitch, start - 1]
    begins = sounding if keep_onsets else sounding & ~before
    kept = len(np.unique(pitch[begins] * roll.shape[1] + start[begins]))
    starting, present = int(begins.sum()), int(sounding.sum())
    return NoteCounts(
        kept=kept,
        outside=total - len(lasting),
        too_short=len(lasting) - len(pitch),
        bent=len(pitch) - present,
        repeated=present - starting,
        doubled=starting - kept,
    )


def struck_roll(pitch: Ints, start: Ints, end: Ints, roll: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the struck pitches of each frame, bool [128, frames].

    A pitch is struck where a note starts, or where it sounds and did not sound in the frame before
    (a note moved by a pitch bend). For the arguments see :func:`count_notes`.
    """
    struck = roll.copy()
    struck[:, 1:] &= ~roll[:, :-1]
    lasting = end > start
    struck[pitch[lasting], start[lasting]] = True
    struck &= roll
    return struck


def describe_notes(counts: NoteCounts) -> str:
    """Return one line about the notes in the files, the onsets in the tokens, and the losses.

    Frames that are outside the vocabulary are not considered.
    """
    line = f"{counts.total:,} notes in the files, {counts.kept:,} note starts in the tokens"
    lost = ", ".join(f"{count:,} {why}" for why, count in counts.lost())
    return f"{line}; lost: {lost}" if lost else line
