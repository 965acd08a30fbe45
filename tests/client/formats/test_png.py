"""The picture of a song: what is drawn where, and how large it gets."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tunesmith.client import BadOption, Song
from tunesmith.client.formats.png import draw_piano_roll
from tunesmith.client.formats.roll_layout import FEWEST_ROWS, MOST_LINES, Layout, pitch_span
from tunesmith.music import Frame
from tunesmith.music.notation import HeldNote

MELODY: tuple[Frame, ...] = ((60,), (60,), (), (67,), (66,), (71,), (71,), ())
CHORDS: tuple[Frame, ...] = ((48, 60, 64, 67),) * 3 + ((50, 62, 65, 69),) * 3


def colours(image: Image.Image) -> dict[str, int]:
    """How many pixels are orange, blue and green: melody, inner voices, bass."""
    red, green, blue = np.moveaxis(np.asarray(image.convert("RGB")).astype(int), 2, 0)
    return {
        "melody": int(((red > 170) & (blue < 90)).sum()),
        "inner": int(((blue > 120) & (red < 90)).sum()),
        "bass": int(((green > 105) & (red < 70) & (blue < green)).sum()),
    }


def picture(frames: Sequence[Frame], **options: int) -> Image.Image:
    return draw_piano_roll(frames, 5.0, **options)


def test_each_voice_has_its_colour_and_silence_has_none() -> None:
    assert colours(picture(((),) * 20)) == {"melody": 0, "inner": 0, "bass": 0}
    line = colours(picture(MELODY * 3))
    assert line["melody"] > 1000
    assert line["inner"] == line["bass"] == 0
    chords = colours(picture(CHORDS * 3))
    assert min(chords.values()) > 500
    assert chords["inner"] > 1.5 * chords["bass"]


@pytest.mark.parametrize("length", [0, 1, 16, 60, 300, 1000, 3000])
def test_a_picture_keeps_to_its_width_whatever_the_length(length: int) -> None:
    frames = tuple(MELODY[index % len(MELODY)] for index in range(length))
    content = Song(frames, 5.0).picture()
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "PNG"
        assert 600 < image.width <= 1600
        assert image.height < 5000
        assert (colours(image)["melody"] > 50) == (length > 0)


def test_a_note_lies_at_its_time_and_its_pitch() -> None:
    frames = ((),) * 8 + ((62,),) * 4 + ((),) * 4
    layout = Layout(*pitch_span([HeldNote(62, 8, 12)]), 16, 5.0, 75.0)
    image = np.asarray(picture(frames)).astype(int)
    warm = (image[..., 0] > 200) & (image[..., 2] < 90)
    rows, columns = np.nonzero(warm)
    top = layout.margin + layout.title + layout.y(62)
    assert (rows.min(), rows.max()) == pytest.approx((top, top + layout.row), abs=2)
    assert columns.min() == pytest.approx(layout.x(0, 8), abs=2)
    assert columns.max() == pytest.approx(layout.x(0, 12), abs=2)


def test_twice_the_scale_is_the_same_picture_with_four_times_the_pixels() -> None:
    once, twice = picture(CHORDS), picture(CHORDS, scale=2)
    assert twice.size == (2 * once.width, 2 * once.height)
    difference = np.asarray(twice.reduce(2)).astype(float) - np.asarray(once).astype(float)
    assert np.abs(difference).mean() < 2
    for scale in (0, 5):
        with pytest.raises(BadOption, match="scale"):
            picture(CHORDS, scale=scale)


def test_a_song_of_many_hours_is_shown_as_far_as_the_lines_go() -> None:
    layout = Layout(55, 80, 200_000, 5.0, 75.0)
    assert layout.lines == MOST_LINES
    assert layout.bars_shown < layout.bars == 12_500
    assert layout.size[1] < 10_000


@given(
    st.integers(1, 20_000),
    st.floats(0.2, 100),
    st.floats(4, 1000),
    st.lists(st.integers(0, 127), max_size=5),
)
@settings(max_examples=100, deadline=None)
def test_every_frame_of_the_lines_shown_has_its_place(
    frames: int, speed: float, tempo: float, pitches: list[int]
) -> None:
    low, high = pitch_span([HeldNote(pitch, 0, 1) for pitch in pitches])
    assert 0 <= low <= high <= 127
    assert all(low <= pitch <= high for pitch in pitches)
    assert high - low + 1 >= FEWEST_ROWS
    layout = Layout(low, high, frames, speed, tempo)
    width, _ = layout.size
    spans = [layout.span(line) for line in range(layout.lines)]
    assert spans[0][0] == 0
    assert [span[1] for span in spans[:-1]] == [span[0] for span in spans[1:]]
    assert all(span[0] < span[1] for span in spans)
    if layout.bars_shown == layout.bars:
        assert spans[-1][0] < frames <= spans[-1][1] + 1e-3
    for line, (_, last) in enumerate(spans):
        assert layout.x(line, last) <= width
        numbers = [number for number, _ in layout.bar_lines(line)]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        places = [x for _, x in layout.second_marks(line)]
        assert all(after - before > 20 for before, after in itertools.pairwise(places))


def test_a_long_title_is_cut_to_the_picture() -> None:
    short, long = (np.asarray(draw_piano_roll(MELODY, 5.0, title)) for title in ("w", "w " * 400))
    assert short.shape == long.shape
    # Nothing stands in the margin.
    assert (long[:80, -20:] == 255).all()
