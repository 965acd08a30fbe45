"""The layout of a piano roll picture: lines of bars, rows of pitches, marks of time.

Positions in pixels of the picture at scale 1; nothing is drawn here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tunesmith.music.notation import BEATS_PER_BAR, HeldNote

LINE_WIDTH = 1440
"""Maximum width of a line of bars, in pixels."""

FEW_LINES = 12
"""A song of more lines is drawn narrower first, by at most `SMALLEST`."""

SMALLEST = 6

MOST_LINES = 24
"""Maximum number of lines: 77 minutes at 75 beats per minute; the rest is left out."""

FEWEST_ROWS = 24


@dataclass(frozen=True)
class Layout:
    """The layout of one picture.

    Args:
        low: the lowest pitch shown.
        high: the highest pitch shown.
        frames: the number of frames of the song.
        frames_per_second: of the song.
        tempo: beats per minute.
    """

    low: int
    high: int
    frames: int
    frames_per_second: float
    tempo: float

    margin = 28
    title = 62
    keyboard = 64
    bar_numbers = 22
    seconds = 26
    gap = 20

    @property
    def frames_per_bar(self) -> float:
        """Frames per bar, not always a whole number."""
        return BEATS_PER_BAR * 60 * self.frames_per_second / self.tempo

    @property
    def bars(self) -> int:
        """The number of bars of the song, the last one perhaps in part."""
        # Slightly less, so that rounding does not begin a bar after the last frame.
        return max(math.ceil(self.frames / self.frames_per_bar - 1e-6), 1)

    @property
    def bars_per_line(self) -> int:
        """Bars of the longest line, such that all lines are about as long."""
        usual = LINE_WIDTH // min(max(9 * self.frames_per_bar, 96), 360)
        shrunk = math.ceil(self.bars / FEW_LINES / usual)
        fitting = int(usual * min(max(shrunk, 1), SMALLEST))
        return math.ceil(self.bars / math.ceil(self.bars / fitting))

    @property
    def lines(self) -> int:
        """The number of lines of the picture."""
        return min(math.ceil(self.bars / self.bars_per_line), MOST_LINES)

    @property
    def bars_shown(self) -> int:
        """The number of bars in the picture: all, but for the longest songs."""
        return min(self.bars, self.lines * self.bars_per_line)

    @property
    def bar(self) -> float:
        """The width of a bar: wider if the song fills less than a line."""
        return min(LINE_WIDTH / self.bars_per_line, 2 * 144)

    @property
    def frame(self) -> float:
        """The width of a frame."""
        return self.bar / self.frames_per_bar

    @property
    def row(self) -> int:
        """The height of a pitch."""
        return min(max(280 // (self.high - self.low + 1), 7), 12)

    @property
    def roll_height(self) -> int:
        """The height of a line's piano roll."""
        return self.row * (self.high - self.low + 1)

    @property
    def line_height(self) -> int:
        """The height of a line with the bar numbers above and the seconds below."""
        return self.bar_numbers + self.roll_height + self.seconds + self.gap

    @property
    def size(self) -> tuple[int, int]:
        """The picture's width and height."""
        roll = math.ceil(self.bars_per_line * self.bar)
        width = max(2 * self.margin + self.keyboard + roll, 640)
        return width, self.margin + self.title + self.lines * self.line_height + self.margin // 2

    @property
    def left(self) -> int:
        """The x of the left edge of a line's piano roll."""
        return self.margin + self.keyboard

    def span(self, line: int) -> tuple[float, float]:
        """The first frame of a line and the frame after its last, which are starts of bars."""
        bar = line * self.bars_per_line
        last = min(bar + self.bars_per_line, self.bars)
        return bar * self.frames_per_bar, last * self.frames_per_bar

    def x(self, line: int, frame: float) -> float:
        """The x of the start of a frame that lies on a line."""
        return self.left + (frame - self.span(line)[0]) * self.frame

    def y(self, pitch: int) -> int:
        """The y of the top edge of a pitch's row, below the top of its line."""
        return self.bar_numbers + (self.high - pitch) * self.row

    def bar_lines(self, line: int) -> Iterator[tuple[int, float]]:
        """Yield the number of each bar of a line, from 1, and its x."""
        first = line * self.bars_per_line
        for bar in range(first, min(first + self.bars_per_line, self.bars)):
            yield bar + 1, self.x(line, bar * self.frames_per_bar)

    @property
    def numbered(self) -> int:
        """Every how many bars there is room for a bar number."""
        return next((each for each in (1, 2, 4, 5, 10) if each * self.bar >= 28), 20)

    def second_marks(self, line: int) -> Iterator[tuple[str, float]]:
        """Yield the labels of a line's time axis with their x, some 60 pixels apart or more."""
        first, last = (frame / self.frames_per_second for frame in self.span(line))
        width = self.frame * self.frames_per_second
        step = next((each for each in (1, 2, 5, 10, 30, 60) if each * width >= 60), 300)
        for second in range(math.ceil(first / step - 1e-9) * step, math.ceil(last), step):
            minutes, rest = divmod(second, 60)
            yield f"{minutes}:{rest:02d}", self.x(line, second * self.frames_per_second)


def pitch_span(notes: Sequence[HeldNote]) -> tuple[int, int]:
    """Return the pitches to show: two beyond the notes either way, two octaves at least."""
    pitches = [note.pitch for note in notes] or [66]
    low, high = max(min(pitches) - 2, 0), min(max(pitches) + 2, 127)
    missing = max(FEWEST_ROWS - (high - low + 1), 0)
    low = max(low - (missing + 1) // 2, 0)
    high = min(max(high + missing // 2, low + FEWEST_ROWS - 1), 127)
    return min(low, high - FEWEST_ROWS + 1), high
