"""The grid: how time and pitch of a song become frames."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.music.errors import MusicError
from tunesmith.music.frames import PITCHES

DEFAULT_FRAMES_PER_SECOND = 5.0
"""The paper's ``fs`` of ``get_piano_roll``: a frame is a fifth of a second."""


@dataclass(frozen=True)
class Grid:
    """What a frame is.

    Args:
        frames_per_second: how many frames a second has, unless the grid follows the tempo.
        frames_per_beat: how many frames a quarter note has; the grid then follows the tempo of
            each song, and a fast song has more frames a second. 0 for a grid of seconds.
        keep_short_notes: a note sounds in the frame where it starts at least. Without it, a note
            that starts and ends within one frame is dropped, as ``get_piano_roll`` does it.
        lowest: pitches below are left out, 0..127.
        highest: pitches above are left out, `lowest`..127.
        keep_onsets: frames also say which pitches are struck, see :mod:`tunesmith.music.struck`.

    Raises:
        MusicError: a value is out of range.
    """

    frames_per_second: float = DEFAULT_FRAMES_PER_SECOND
    frames_per_beat: int = 0
    keep_short_notes: bool = False
    lowest: int = 0
    highest: int = PITCHES - 1
    keep_onsets: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.frames_per_second < 1000:
            raise MusicError(
                f"frames per second must be above 0 and below 1000, not {self.frames_per_second}"
            )
        if not 0 <= self.frames_per_beat <= 96:
            raise MusicError(f"frames per beat must be 1 to 96, not {self.frames_per_beat}")
        if not 0 <= self.lowest <= self.highest < PITCHES:
            raise MusicError(
                f"the pitch range must lie within 0-127, not {self.lowest}-{self.highest}"
            )
