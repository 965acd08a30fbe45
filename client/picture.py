"""A song as a picture: its piano roll, laid out in lines like a score.

The keyboard stands at the left of every line, a held note is a rounded bar from its start to its
end, the top voice in one colour and what lies under it in another. Bars are counted as the written
MIDI file counts them; seconds stand below.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunesmith.client.pitches import is_black_key, pitch_name
from tunesmith.music import Frame, notes_from_frames
from tunesmith.music.notation import HeldNote

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

FRAMES_PER_BEAT = 4
FRAMES_PER_BAR = 4 * FRAMES_PER_BEAT
"""Four beats a bar: what a MIDI file without a time signature is read as."""

BARS_PER_LINE = 10

OVERSAMPLING = 2
"""Drawn twice as large and scaled down, which rounds the corners without steps."""

_PAPER = "#ffffff"
_WHITE_ROW = "#f7f8fa"
_BLACK_ROW = "#eceef2"
_OCTAVE_LINE = "#c3c8d2"
_BAR_LINE = "#b4bac6"
_BEAT_LINE = "#dfe2e9"
_INK = "#2b303b"
_PALE_INK = "#7a8191"
_TOP_VOICE = ("#e4572e", "#b93d19")
_UNDER_VOICES = ("#3f7cac", "#2a5b83")
_BLACK_KEY = "#333845"
_KEY_EDGE = "#a9afbb"


@dataclass(frozen=True)
class Layout:
    """Where things are, in pixels of the finished picture.

    Args:
        low: the lowest pitch shown.
        high: the highest pitch shown.
        frames: how many frames the song has.
        frames_per_second: how long a frame lasts.
    """

    low: int
    high: int
    frames: int
    frames_per_second: float

    margin = 28
    title = 44
    keyboard = 64
    bar_numbers = 22
    seconds = 26
    gap = 22

    @property
    def bars(self) -> int:
        """How many bars the song takes, the last one perhaps in part."""
        return max(-(-self.frames // FRAMES_PER_BAR), 1)

    @property
    def lines(self) -> int:
        """How many lines the song takes, each of at most ten bars."""
        return -(-self.bars // BARS_PER_LINE)

    @property
    def frames_per_line(self) -> int:
        """A whole number of bars, such that all lines are about as long."""
        return FRAMES_PER_BAR * -(-self.bars // self.lines)

    def columns(self, line: int) -> int:
        """How many frames a line has: the last one ends with its last bar."""
        rest = self.bars * FRAMES_PER_BAR - line * self.frames_per_line
        return min(rest, self.frames_per_line)

    @property
    def column(self) -> int:
        """The width of a frame: wider when the song fills less than a line."""
        return min(max(1440 // self.frames_per_line, 9), 18)

    @property
    def row(self) -> int:
        """The height of a pitch."""
        return min(max(280 // (self.high - self.low + 1), 7), 12)

    @property
    def roll_height(self) -> int:
        """The height of a line's piano roll."""
        return self.row * (self.high - self.low + 1)

    @property
    def size(self) -> tuple[int, int]:
        """The picture's width and height."""
        line = self.bar_numbers + self.roll_height + self.seconds
        width = 2 * self.margin + self.keyboard + self.frames_per_line * self.column
        height = self.margin + self.title + self.lines * (line + self.gap) - self.gap + self.margin
        return width, height

    def left(self, frame: int) -> int:
        """The x of the left edge of the frame that is `frame`-th on its line."""
        return self.margin + self.keyboard + frame * self.column

    def top(self, line: int) -> int:
        """The y of the top edge of a line's piano roll."""
        pitch = self.bar_numbers + self.roll_height + self.seconds + self.gap
        return self.margin + self.title + line * pitch + self.bar_numbers

    def y(self, line: int, pitch: int) -> int:
        """The y of the top edge of a pitch's row."""
        return self.top(line) + (self.high - pitch) * self.row


def draw_piano_roll(
    frames: Sequence[Frame], frames_per_second: float, title: str = ""
) -> Image.Image:
    """Return the piano roll of `frames`, an RGB image at most some 1,560 pixels wide.

    Args:
        frames: what sounds in each frame.
        frames_per_second: how long a frame lasts: ``1 / frames_per_second`` seconds.
        title: a line of text above it.
    """
    from PIL import Image

    notes = notes_from_frames(frames)
    low, high = _pitch_span(notes)
    layout = Layout(low, high, len(frames), frames_per_second)
    width, height = layout.size
    image = Image.new("RGB", (width * OVERSAMPLING, height * OVERSAMPLING), _PAPER)
    pen = _Pen(image)
    pen.text((layout.margin, layout.margin + 4), title, 22, _INK, "lt")
    for line in range(layout.lines):
        _draw_grid(pen, layout, line)
        _draw_keyboard(pen, layout, line)
    top_voice = _top_voice(frames, notes)
    # The top voice last, so that it is never covered.
    for note in sorted(notes, key=lambda note: note in top_voice):
        _draw_note(pen, layout, note, _TOP_VOICE if note in top_voice else _UNDER_VOICES)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _pitch_span(notes: Sequence[HeldNote]) -> tuple[int, int]:
    """Return the pitches to show: whole octaves C to B around the notes, at least two of them."""
    pitches = [note.pitch for note in notes] or [60]
    low, high = min(pitches) // 12 * 12, max(pitches) // 12 * 12 + 11
    if high - low < 23:
        # The octave that the notes lie closer to is added.
        if max(pitches) - low > high - min(pitches) and high + 12 < 128:
            high += 12
        else:
            low -= 12
    return max(low, 0), min(high, 127)


def _top_voice(frames: Sequence[Frame], notes: Sequence[HeldNote]) -> set[HeldNote]:
    """Return the notes that are the highest sounding one during at least half their length."""
    return {
        note
        for note in notes
        if 2 * sum(frames[index][-1] == note.pitch for index in range(note.start, note.end))
        >= note.end - note.start
    }


class _Pen:
    """Draws in the pixels of the finished picture on one that is larger."""

    def __init__(self, image: Image.Image) -> None:
        from PIL import ImageDraw

        self._draw: ImageDraw.ImageDraw = ImageDraw.Draw(image)

    def box(
        self,
        corners: tuple[float, float, float, float],
        fill: str,
        outline: str | None = None,
        radius: float = 0,
    ) -> None:
        """Fill the box between left, top, right and bottom; the right and bottom edges excluded."""
        left, top, right, bottom = (each * OVERSAMPLING for each in corners)
        self._draw.rounded_rectangle(
            (left, top, right - 1, bottom - 1), radius * OVERSAMPLING, fill, outline, OVERSAMPLING
        )

    def text(
        self, place: tuple[float, float], text: str, size: int, fill: str, anchor: str
    ) -> None:
        """Write `text` in Pillow's own scalable font; `anchor` is Pillow's."""
        from PIL import ImageFont

        font = ImageFont.load_default(size * OVERSAMPLING)
        x, y = (each * OVERSAMPLING for each in place)
        self._draw.text((x, y), text, fill=fill, font=font, anchor=anchor)


def _draw_grid(pen: _Pen, layout: Layout, line: int) -> None:
    """Draw the rows of the pitches, octave lines, beats, bars and their numbers, and seconds."""
    columns = layout.columns(line)
    left, right = layout.left(0), layout.left(columns)
    top, bottom = layout.top(line), layout.top(line) + layout.roll_height
    for pitch in range(layout.low, layout.high + 1):
        y = layout.y(line, pitch)
        row = _BLACK_ROW if is_black_key(pitch) else _WHITE_ROW
        pen.box((left, y, right, y + layout.row), row)
        if pitch % 12 == 0:
            pen.box((left, y + layout.row - 1, right, y + layout.row), _OCTAVE_LINE)
    for column in range(0, columns + 1, FRAMES_PER_BEAT):
        x = layout.left(column)
        bar = column % FRAMES_PER_BAR == 0
        pen.box((x, top, x + 1, bottom), _BAR_LINE if bar else _BEAT_LINE)
        if bar and column < columns:
            number = (line * layout.frames_per_line + column) // FRAMES_PER_BAR + 1
            pen.text((x + 3, top - 6), str(number), 11, _PALE_INK, "ls")
    for second, place in _seconds(layout, line):
        pen.box((place, bottom, place + 1, bottom + 5), _PALE_INK)
        pen.text((place, bottom + 8), second, 11, _PALE_INK, "mt")


def _seconds(layout: Layout, line: int) -> Iterator[tuple[str, float]]:
    """Yield the labels of a line's time axis with their x, some 60 pixels apart or more."""
    first = line * layout.frames_per_line / layout.frames_per_second
    last = first + layout.columns(line) / layout.frames_per_second
    pixels_per_second = layout.column * layout.frames_per_second
    step = next((each for each in (1, 2, 5, 10, 30, 60) if each * pixels_per_second >= 60), 300)
    second = -(-int(first) // step) * step
    while second < last:
        if second >= first:
            minutes, rest = divmod(second, 60)
            yield f"{minutes}:{rest:02d}", layout.left(0) + (second - first) * pixels_per_second
        second += step


def _draw_keyboard(pen: _Pen, layout: Layout, line: int) -> None:
    """Draw the keys beside their rows, black ones shorter, and name each C."""
    left, right = layout.margin, layout.margin + layout.keyboard
    top, bottom = layout.top(line), layout.top(line) + layout.roll_height
    pen.box((left, top, right, bottom), _PAPER, _KEY_EDGE)
    for pitch in range(layout.low, layout.high + 1):
        y = layout.y(line, pitch)
        if is_black_key(pitch):
            pen.box((left, y, left + 0.6 * layout.keyboard, y + layout.row), _BLACK_KEY)
            # White keys meet in the middle of the black one between them.
            middle = y + layout.row // 2
            pen.box((left + 0.6 * layout.keyboard, middle, right, middle + 1), _KEY_EDGE)
        elif pitch % 12 in (0, 5):
            pen.box((left, y + layout.row - 1, right, y + layout.row), _KEY_EDGE)
        if pitch % 12 == 0:
            pen.text((right - 5, y + layout.row / 2), pitch_name(pitch), 11, _INK, "rm")


def _draw_note(pen: _Pen, layout: Layout, note: HeldNote, colours: tuple[str, str]) -> None:
    """Draw a held note, on two lines where it goes on after a line's end."""
    columns = layout.frames_per_line
    for line in range(note.start // columns, (note.end - 1) // columns + 1):
        start = max(note.start - line * columns, 0)
        end = min(note.end - line * columns, columns)
        y = layout.y(line, note.pitch)
        # A pixel short, so that notes that follow each other on one pitch would not touch.
        corners = (layout.left(start) + 1, y, layout.left(end), y + layout.row)
        pen.box(corners, *colours, radius=layout.row / 3)
