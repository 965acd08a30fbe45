"""Songs for the report: piano roll and notes, drawn by the client library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tunesmith.client import Song
    from tunesmith.music import Frame
    from tunesmith.pipeline.report import ReportedSong


def shown_song(song: Song) -> ReportedSong:
    """Return a song as the report shows it."""
    from tunesmith.pipeline.report import ReportedSong

    speed = song.frames_per_second
    notes = tuple((note.pitch, note.start / speed, note.end / speed) for note in song.notes)
    return ReportedSong(song.summary(), song.picture(), notes)


def show_frames(frames: Sequence[Frame], frames_per_second: float) -> ReportedSong:
    """Return a song of these frames as the report shows it."""
    from tunesmith.client import Song

    return shown_song(Song(tuple(frames), frames_per_second))
