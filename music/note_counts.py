"""How many notes of a file reach its frames as onsets, and why the others do not.

A plain frame says which pitches sound, not which begin. So a note is heard to begin only where its
pitch does not sound in the frame before it. Struck frames (:mod:`tunesmith.music.struck`) keep it.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

_LAYOUT = struct.Struct("<6Q")

_WHY = {
    "repeated": "repeat a pitch without a gap and merge",
    "too_short": "are too short for a frame",
    "doubled": "double another note",
    "outside": "are outside the pitch range",
    "bent": "are bent to another pitch",
}


class NoteCounts(NamedTuple):
    """Notes of the chosen instruments; each counts once.

    Attributes:
        kept: begin where their pitch did not sound in the frame before, or anywhere if the frames
            say which pitches are struck.
        outside: their pitch is outside the grid's range.
        too_short: start and end within one frame, and the grid drops them.
        bent: a pitch bend moves them, so that their own pitch does not sound where they start.
        repeated: their pitch sounds in the frame before, so that they read as one held note.
        doubled: another note of their pitch begins in the same frame.
    """

    kept: int = 0
    outside: int = 0
    too_short: int = 0
    bent: int = 0
    repeated: int = 0
    doubled: int = 0

    @property
    def total(self) -> int:
        """The notes in the files."""
        return sum(self)

    def lost(self) -> list[tuple[str, int]]:
        """Return why notes are not heard to begin and how many, the most frequent reason first."""
        found = [(why, getattr(self, name)) for name, why in _WHY.items()]
        return sorted((each for each in found if each[1]), key=lambda each: -each[1])

    def to_bytes(self) -> bytes:
        """Return 48 bytes, which :meth:`from_bytes` reads."""
        return _LAYOUT.pack(*self)

    @classmethod
    def from_bytes(cls, content: bytes) -> NoteCounts:
        """Read what :meth:`to_bytes` wrote."""
        return cls(*_LAYOUT.unpack(content))

    def added(self, other: NoteCounts) -> NoteCounts:
        """Return the counts of both."""
        return NoteCounts(*(mine + more for mine, more in zip(self, other, strict=True)))


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
        start: int64 [notes], the frame in which each starts.
        end: int64 [notes], the frame in which it ends; one that ends where it starts has no frame.
        roll: bool [128, frames], what sounds of all these notes.
        pitches: the lowest and the highest pitch that the roll holds.
        keep_onsets: the frames say which pitches are struck, so that repeated notes are kept.
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
    beginning, heard = int(begins.sum()), int(sounding.sum())
    return NoteCounts(
        kept=kept,
        outside=total - len(lasting),
        too_short=len(lasting) - len(pitch),
        bent=len(pitch) - heard,
        repeated=heard - beginning,
        doubled=beginning - kept,
    )


def struck_roll(pitch: Ints, start: Ints, end: Ints, roll: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which pitches are struck, bool [128, frames]: where a note starts, or a sound does.

    A sound without a note's start is that of a note that a pitch bend moves. Arguments are those of
    :func:`count_notes`.
    """
    struck = roll.copy()
    struck[:, 1:] &= ~roll[:, :-1]
    lasting = end > start
    struck[pitch[lasting], start[lasting]] = True
    struck &= roll
    return struck


def describe_notes(counts: NoteCounts) -> str:
    """Return one line for people: notes in the files, notes in the tokens, and why others are not.

    Frames outside the vocabulary, which become others, are not looked at.
    """
    line = f"notes in the files {counts.total:,}, in the tokens {counts.kept:,}"
    lost = ", ".join(f"{count:,} {why}" for why, count in counts.lost())
    return f"{line}: {lost}" if lost else line
