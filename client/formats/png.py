"""PNG: the song as a picture of its piano roll, in lines of bars like a score; drawn by Pillow.

The keyboard stands at the left of every line, a held note is a rounded bar from its start to its
end, in the colour of its voice. Bars are counted as in the written MIDI file; seconds stand below.
:mod:`tunesmith.client.formats.roll_layout` computes the positions.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, BinaryIO

from tunesmith.client.errors import BadOption
from tunesmith.client.formats.roll_layout import Layout, pitch_span
from tunesmith.client.libraries import PILLOW
from tunesmith.client.pitches import is_black_key, pitch_name
from tunesmith.music import Frame, notes_from_frames
from tunesmith.music.notation import BEATS_PER_BAR, HeldNote, Voice, checked_tempo, voices_of

if TYPE_CHECKING:
    from PIL import Image, ImageDraw
    from PIL.ImageFont import FreeTypeFont

    from tunesmith.client.song import Song

LARGEST_SCALE = 4
"""The picture of the longest song is then some 6,000 by 40,000 pixels."""

OVERSAMPLING = 2
"""Drawn twice as large and scaled down, which rounds the corners without steps."""

NARROWEST_BEAT = 8
"""Beats closer than these pixels get no line."""

_PAPER = "#ffffff"
_WHITE_ROW = "#f8f9fb"
_BLACK_ROW = "#eef0f4"
_OCTAVE_LINE = "#c9ced8"
_BAR_LINE = "#b4bac6"
_BEAT_LINE = "#e1e4eb"
_END_LINE = "#5d6577"
_INK = "#2b303b"
_PALE_INK = "#7a8191"
_BLACK_KEY = "#333845"
_KEY_EDGE = "#a9afbb"

# Fill and edge. The three can be told apart with any of the common colour blindnesses.
_VOICE_COLOURS = {
    Voice.MELODY: ("#e4572e", "#b53c18"),
    Voice.INNER: ("#3f7cac", "#2a5b83"),
    Voice.BASS: ("#2a9d83", "#1c7360"),
}
_VOICE_NAMES = {Voice.MELODY: "melody", Voice.INNER: "inner voices", Voice.BASS: "bass"}


@dataclass(frozen=True)
class Heading:
    """The two lines above a picture.

    Args:
        title: the large line.
        subtitle: the small line below.
    """

    title: str = ""
    subtitle: str = ""


class PngFormat:
    """``.png``: :func:`draw_piano_roll` with the song's summary and origin above it."""

    name = "PNG"
    suffixes = (".png",)
    library = PILLOW

    def write(self, song: Song, file: BinaryIO) -> None:
        """Write the song."""
        write_piano_roll(song, file)


FORMAT = PngFormat()


def write_piano_roll(
    song: Song, file: BinaryIO, *, title: str | None = None, scale: int = 1
) -> None:
    """Write the piano roll of a song as PNG.

    Args:
        song: the song.
        file: where to.
        title: the line above the picture; the summary if None.
        scale: 2 is twice as large; 1 to 4.

    Raises:
        MissingLibrary: Pillow is not installed.
        BadOption: the scale is out of range.
        MusicError: the speed or the tempo is out of range.
    """
    heading = Heading(*song.headlines(title))
    image = draw_piano_roll(
        song.frames, song.frames_per_second, heading, tempo=song.tempo, scale=scale
    )
    image.save(file, format="PNG", optimize=True)


def draw_piano_roll(
    frames: Sequence[Frame],
    frames_per_second: float,
    heading: Heading | str = "",
    *,
    tempo: float | None = None,
    scale: int = 1,
) -> Image.Image:
    """Return the piano roll of `frames`, an RGB image of at most about 1,560 pixels in width.

    A song takes lines of about ten bars, of more bars where it is long; one of more than an hour is
    shown as far as 24 lines go, and the picture says so.

    Args:
        frames: the pitches that sound in each frame.
        frames_per_second: a frame lasts ``1 / frames_per_second`` seconds.
        heading: the lines above the picture; a string is the title alone.
        tempo: beats a minute, which place the bars, four beats each; None for
            :func:`tunesmith.music.notation.checked_tempo`'s own.
        scale: 2 is twice as large, for screens of small pixels and for print; 1 to 4.

    Raises:
        MissingLibrary: Pillow is not installed.
        BadOption: the scale is out of range.
        MusicError: the speed or the tempo is out of range.
    """
    PILLOW.require("a PNG picture")
    from PIL import Image

    if scale not in range(1, LARGEST_SCALE + 1):
        raise BadOption(f"the scale of a picture must be 1 to {LARGEST_SCALE}, not {scale}")
    notes = notes_from_frames(frames)
    voices = voices_of(notes, frames)
    layout = Layout(
        *pitch_span(notes),
        len(frames),
        frames_per_second,
        checked_tempo(tempo, frames_per_second),
    )
    width, height = layout.size
    image = Image.new("RGB", (width * scale, height * scale), _PAPER)
    pen = _Pen.on_new(width, layout.margin + layout.title, scale)
    _draw_heading(pen, layout, Heading(heading) if isinstance(heading, str) else heading, voices)
    pen.lay(image, 0)
    # The melody last, so that it is never covered.
    ordered = sorted(zip(notes, voices, strict=True), key=lambda each: -each[1])
    for line in range(layout.lines):
        # Line by line, so that the oversampled image stays small.
        pen = _Pen.on_new(width, layout.line_height, scale)
        _draw_grid(pen, layout, line)
        _draw_keyboard(pen, layout)
        first, last = layout.span(line)
        for note, voice in ordered:
            if note.end > first and note.start < last:
                _draw_note(pen, layout, line, note, voice)
        pen.lay(image, layout.margin + layout.title + line * layout.line_height)
    return image


class _Pen:
    """Draws in the pixels of the picture at scale 1 on an image that is larger."""

    def __init__(self, image: Image.Image, scale: int) -> None:
        from PIL import ImageDraw

        self._image = image
        self._scale = scale
        self._zoom = scale * OVERSAMPLING
        self._draw: ImageDraw.ImageDraw = ImageDraw.Draw(image)

    @classmethod
    def on_new(cls, width: int, height: int, scale: int) -> _Pen:
        """Return a pen on white paper of this size."""
        from PIL import Image

        zoom = scale * OVERSAMPLING
        return cls(Image.new("RGB", (width * zoom, height * zoom), _PAPER), scale)

    def lay(self, picture: Image.Image, top: int) -> None:
        """Copy the drawing into the picture, `top` pixels from its top."""
        small = self._image.reduce(OVERSAMPLING)
        picture.paste(small, (0, top * self._scale))

    def box(
        self,
        corners: tuple[float, float, float, float],
        fill: str,
        outline: str | None = None,
        radius: float = 0,
    ) -> None:
        """Fill the box between left, top, right and bottom; the right and bottom edges excluded."""
        left, top, right, bottom = (round(each * self._zoom) for each in corners)
        # One that is narrower than the pen still shows.
        right, bottom = max(right, left + self._zoom // 2), max(bottom, top + 1)
        self._draw.rounded_rectangle(
            (left, top, right - 1, bottom - 1), radius * self._zoom, fill, outline, self._scale
        )

    def text(
        self, place: tuple[float, float], text: str, size: int, fill: str, anchor: str
    ) -> None:
        """Write `text` in Pillow's own scalable font; `anchor` is Pillow's."""
        x, y = (each * self._zoom for each in place)
        self._draw.text((x, y), text, fill=fill, font=self._font(size), anchor=anchor)

    def width(self, text: str, size: int) -> float:
        """Return the width of a text."""
        return self._font(size).getlength(text) / self._zoom

    def shortened(self, text: str, size: int, width: float) -> str:
        """Return `text`, or as much of it as fits with dots after it."""
        text = " ".join(text.split())
        if self.width(text, size) <= width:
            return text
        fitting = bisect.bisect_right(
            range(len(text)), width, key=lambda end: self.width(text[:end] + "...", size)
        )
        return text[: max(fitting - 1, 0)].rstrip() + "..."

    def _font(self, size: int) -> FreeTypeFont:
        return _font(size * self._zoom)


@cache
def _font(size: int) -> FreeTypeFont:
    from PIL import ImageFont

    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # Pillow's own, when a size is given
    return font


def _draw_heading(pen: _Pen, layout: Layout, heading: Heading, voices: Sequence[Voice]) -> None:
    """Write the title, a note of bars left out, and the legend if there are several voices."""
    width = layout.size[0] - 2 * layout.margin
    pen.text(
        (layout.margin, layout.margin), pen.shortened(heading.title, 22, width), 22, _INK, "lt"
    )
    right = layout.margin + width
    for voice in sorted(set(voices), reverse=True) if len(set(voices)) > 1 else ():
        pen.text((right, layout.margin + 40), _VOICE_NAMES[voice], 12, _INK, "rm")
        right -= int(pen.width(_VOICE_NAMES[voice], 12)) + 24
        box = (right, layout.margin + 36, right + 18, layout.margin + 44)
        pen.box(box, *_VOICE_COLOURS[voice], radius=3)
        right -= 18
    subtitle = heading.subtitle
    if layout.bars_shown < layout.bars:
        subtitle = f"the first {layout.bars_shown:,} of {layout.bars:,} bars. {subtitle}"
    place = (layout.margin, layout.margin + 40)
    pen.text(place, pen.shortened(subtitle, 12, right - layout.margin), 12, _PALE_INK, "lm")


def _draw_grid(pen: _Pen, layout: Layout, line: int) -> None:
    """Draw the rows of the pitches, octave lines, beats, bars and their numbers, and seconds."""
    top, bottom = layout.bar_numbers, layout.bar_numbers + layout.roll_height
    left, right = layout.left, layout.x(line, layout.span(line)[1])
    for pitch in range(layout.low, layout.high + 1):
        y = layout.y(pitch)
        row = _BLACK_ROW if is_black_key(pitch) else _WHITE_ROW
        pen.box((left, y, right, y + layout.row), row)
        if pitch % 12 == 0:
            pen.box((left, y + layout.row - 1, right, y + layout.row), _OCTAVE_LINE)
    beat = layout.bar / BEATS_PER_BAR
    for number, x in layout.bar_lines(line):
        for place in (x + beat * index for index in range(1, BEATS_PER_BAR)):
            if beat >= NARROWEST_BEAT:
                pen.box((place, top, place + 1, bottom), _BEAT_LINE)
        pen.box((x, top, x + 1, bottom), _BAR_LINE)
        if (number - 1) % layout.numbered == 0:
            pen.text((x + 3, top - 6), str(number), 11, _PALE_INK, "ls")
    for label, x in layout.second_marks(line):
        pen.box((x, bottom, x + 1, bottom + 5), _PALE_INK)
        pen.text((x, bottom + 8), label, 11, _PALE_INK, "mt")
    pen.box((right - 1, top, right, bottom), _BAR_LINE)
    if (line + 1) * layout.bars_per_line >= layout.bars:
        # The double bar at the end of a piece.
        pen.box((right - 1, top, right, bottom), _END_LINE)
        pen.box((right + 2, top, right + 5, bottom), _END_LINE)


def _draw_keyboard(pen: _Pen, layout: Layout) -> None:
    """Draw the keys beside their rows, black ones shorter, and name each C."""
    left, right = layout.margin, layout.left
    middle = left + 0.6 * layout.keyboard
    pen.box((left, layout.y(layout.high), right, layout.y(layout.low - 1)), _PAPER, _KEY_EDGE)
    for pitch in range(layout.low, layout.high + 1):
        y = layout.y(pitch)
        if is_black_key(pitch):
            # White keys meet in the middle of the black one between them.
            edge = y + layout.row // 2
            pen.box((middle, edge, right, edge + 1), _KEY_EDGE)
            pen.box((left, y, middle, y + layout.row), _BLACK_KEY, radius=1)
        elif pitch % 12 in (0, 5):
            pen.box((left, y + layout.row - 1, right, y + layout.row), _KEY_EDGE)
        if pitch % 12 == 0:
            size = 11 if layout.row > 8 else 9
            pen.text((right - 5, y + layout.row / 2), pitch_name(pitch), size, _INK, "rm")


def _draw_note(pen: _Pen, layout: Layout, line: int, note: HeldNote, voice: Voice) -> None:
    """Draw the part of a held note that lies on a line."""
    first, last = layout.span(line)
    start, end = layout.x(line, max(note.start, first)), layout.x(line, min(note.end, last))
    y = layout.y(note.pitch)
    # A pixel short, so that notes that follow each other on one pitch would not touch.
    corners = (start + 1, y, max(end, start + 2), y + layout.row)
    pen.box(corners, *_VOICE_COLOURS[voice], radius=min(layout.row / 3, 3))
