"""HTML: the song as a page that plays it; notes fall onto a keyboard, the browser makes the sound.

The page is one file of HTML, complete in itself: its own content security policy lets it load
nothing. Its template is ``templates/player.html``.
"""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, BinaryIO

from tunesmith.music import DEFAULT_VELOCITY, Frame, notes_from_frames
from tunesmith.music.notation import (
    BEATS_PER_BAR,
    ByVoice,
    checked_tempo,
    checked_velocities,
    voices_of,
)

if TYPE_CHECKING:
    from tunesmith.client.song import Song


class HtmlFormat:
    """``.html``: :func:`player_page` with the song's summary and origin as its heading."""

    name = "HTML"
    suffixes = (".html",)
    library = None

    def write(self, song: Song, file: BinaryIO) -> None:
        """Write the song."""
        file.write(song_page(song).encode())


FORMAT = HtmlFormat()


class _Page(Template):
    """A template whose placeholders begin with a sign that neither JavaScript nor CSS uses."""

    delimiter = "§"


def song_page(song: Song, title: str | None = None) -> str:
    """Return :func:`player_page` of a song; its heading is the summary if `title` is None."""
    return player_page(
        song.frames,
        song.frames_per_second,
        *song.headlines(title),
        tempo=song.tempo,
        velocity=song.velocity,
    )


def player_page(
    frames: Sequence[Frame],
    frames_per_second: float,
    title: str,
    subtitle: str = "",
    *,
    tempo: float | None = None,
    velocity: ByVoice = DEFAULT_VELOCITY,
) -> str:
    """Return the page: HTML of about 25 kB and 12 bytes a note.

    Args:
        frames: the pitches that sound in each frame.
        frames_per_second: a frame lasts ``1 / frames_per_second`` seconds.
        title: the page's heading; any text.
        subtitle: the line beside the heading.
        tempo: beats a minute, which place the bar lines; None for
            :func:`tunesmith.music.notation.checked_tempo`'s own.
        velocity: 1..127 of every note, or two or three by voice.

    Raises:
        MusicError: the speed, the tempo or a velocity is out of range.
    """
    notes = notes_from_frames(frames)
    song = {
        "speed": frames_per_second,
        "frames": len(frames),
        "tempo": checked_tempo(tempo, frames_per_second),
        "beats": BEATS_PER_BAR,
        "velocity": checked_velocities(velocity),
        "notes": [
            (note.pitch, note.start, note.end - note.start, int(voice))
            for note, voice in zip(notes, voices_of(notes, frames), strict=True)
        ],
    }
    template = files("tunesmith.client").joinpath("templates/player.html")
    return _Page(template.read_text(encoding="utf-8")).substitute(
        title=html.escape(title),
        subtitle=html.escape(subtitle),
        # All numbers, so that nothing in it can end the element that it stands in.
        song=json.dumps(song, separators=(",", ":")),
    )
