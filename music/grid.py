"""The grid: time resolution and pitch range of frames."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.music.errors import MusicError
from tunesmith.music.frames import PITCHES

DEFAULT_FRAMES_PER_SECOND = 5.0
"""The paper's argument ``fs`` of ``get_piano_roll``: a frame is a fifth of a second."""


@dataclass(frozen=True)
class Grid:
    """Grid of the frames of a song.

    Args:
        frames_per_second: frames per second, if `frames_per_beat` is 0.
        frames_per_beat: frames per quarter note; the grid then follows the tempo of each song. 0
            for a fixed number of frames per second.
        keep_short_notes: a note sounds at least in the frame where it starts. If False, a note that
            starts and ends within one frame is dropped, as in ``get_piano_roll``.
        lowest: lowest pitch, 0..127; lower pitches are dropped.
        highest: highest pitch, `lowest`..127; higher pitches are dropped.
        keep_onsets: frames also record the struck pitches, see :mod:`tunesmith.music.struck`.

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
            raise MusicError(f"frames per beat must be 0 to 96, not {self.frames_per_beat}")
        if not 0 <= self.lowest <= self.highest < PITCHES:
            raise MusicError(
                f"the pitch range must be within 0-127, not {self.lowest}-{self.highest}"
            )
