"""The score of a song: music21 reads the same pitches at the same times out of it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.client import Song
from tunesmith.client.formats.musicxml import NoteValues
from tunesmith.music import Frame, StruckFrame
from tunesmith.music.notation import HeldNote

pytest.importorskip("music21")
from music21 import converter

MELODY: tuple[Frame, ...] = ((60,), (60,), (), (67,), (66,), (60, 64, 67), (60, 64, 67), ())

FRAMES = st.lists(
    st.sets(st.integers(21, 108), max_size=4).map(lambda pitches: tuple(sorted(pitches))),
    min_size=1,
    max_size=40,
)


def read(path: Path) -> Any:
    """Return the score in a file."""
    return converter.parse(path, forceSource=True, storePickle=False)


def notes_of(score: Any, frames_per_quarter: Fraction) -> list[HeldNote]:
    """Return the notes of a score, tied ones as one; start and end in frames, which are whole."""
    held = []
    for part in score.parts:
        tied: dict[int, HeldNote] = {}
        for element in part.flatten().notes:
            start = Fraction(element.offset) * frames_per_quarter
            end = start + Fraction(element.quarterLength) * frames_per_quarter
            assert start.denominator == end.denominator == 1
            for note in getattr(element, "notes", (element,)):
                pitch, kind = note.pitch.midi, note.tie.type if note.tie else ""
                before = tied.pop(pitch, None)
                assert (before is not None) == (kind in ("continue", "stop"))
                assert before is None or before.end == start
                whole = HeldNote(pitch, int(start) if before is None else before.start, int(end))
                if kind in ("start", "continue"):
                    tied[pitch] = whole
                else:
                    held.append(whole)
        assert not tied
    return sorted(held, key=lambda note: (note.start, note.pitch))


def frame_seconds(score: Any, frames_per_quarter: Fraction) -> float:
    """Return how long a frame lasts by the metronome mark."""
    (mark,) = score.recurse().getElementsByClass("MetronomeMark")
    return 60 / float(mark.number) / float(frames_per_quarter)


@given(FRAMES, st.sampled_from([(5.0, None), (5.0, 100.0), (8.0, 80.0), (3.0, 90.0), (12.5, 60.0)]))
@settings(max_examples=15, deadline=None)
def test_music21_reads_the_same_notes_at_the_same_times(
    tmp_path_factory: pytest.TempPathFactory,
    frames: list[Frame],
    speed: tuple[float, float | None],
) -> None:
    song = Song(tuple(frames), speed[0], tempo=speed[1])
    path = tmp_path_factory.mktemp("score") / "song.musicxml"
    song.save(path)
    score = read(path)
    values = NoteValues.choose(*speed)
    assert tuple(notes_of(score, values.frames_per_quarter)) == song.notes
    assert frame_seconds(score, values.frames_per_quarter) == pytest.approx(1 / speed[0], rel=1e-3)


def test_a_repeated_note_and_a_held_one_differ(tmp_path: Path) -> None:
    struck = (StruckFrame((60,), (60,)), StruckFrame((60,), ()), StruckFrame((60,), (60,)))
    Song(struck, 5.0).save(tmp_path / "song.musicxml")
    found = notes_of(read(tmp_path / "song.musicxml"), Fraction(4))
    assert found == [HeldNote(60, 0, 2), HeldNote(60, 2, 3)]


def test_each_program_has_a_part_of_its_own(tmp_path: Path) -> None:
    song = Song(((48, 60, 64, 72),) * 10, 5.0, model="tunesmith", model_version=3, seed=7)
    song.save(tmp_path / "song.musicxml", program=(73, 0, 32), velocity=(120, 80, 40))
    score = read(tmp_path / "song.musicxml")
    assert [part.partName for part in score.parts] == ["melody", "inner voices", "bass"]
    pitches = [{each.midi for each in part.flatten().pitches} for part in score.parts]
    assert pitches == [{72}, {60, 64}, {48}]
    programs = [part.getInstrument(returnDefault=False).midiProgram for part in score.parts]
    assert programs == [73, 0, 32]
    assert score.metadata.movementName == song.summary()
    assert score.metadata.composer == "tunesmith, version 3, seed 7"
    assert tuple(notes_of(score, Fraction(4))) == song.notes


def test_the_same_song_gives_the_same_file(tmp_path: Path) -> None:
    files = []
    for name in ("a.musicxml", "b.musicxml"):
        Song(MELODY, 5.0).save(tmp_path / name, program=(73, 0))
        lines = (tmp_path / name).read_text(encoding="utf-8").splitlines()
        files.append([line for line in lines if "encoding-date" not in line])
    assert files[0] == files[1]


def test_a_song_of_rests_has_bars_of_rests(tmp_path: Path) -> None:
    Song(((),) * 20, 5.0).save(tmp_path / "song.musicxml")
    score = read(tmp_path / "song.musicxml")
    assert not list(score.recurse().notes)
    # 20 frames at four a beat are five quarters.
    assert len(score.parts[0].getElementsByClass("Measure")) == 2


@pytest.mark.parametrize(
    ("speed", "tempo", "frames_per_quarter", "mark"),
    [
        (5.0, None, 4, 75.0),
        (8.0, None, 4, 120.0),
        (3.0, None, 2, 90.0),
        (5.0, 100.0, 3, 100.0),
        (8.0, 80.0, 6, 80.0),
        # 10 frames at 3.33 a beat: three a beat come nearest, and the mark is such that each lasts
        # as long as before.
        (5.0, 90.0, 3, 100.0),
        (0.5, 120.0, Fraction(1, 4), 120.0),
        (999.0, 60.0, 128, 60 * 999 / 128),
    ],
)
def test_a_frame_is_the_nearest_note_value(
    speed: float, tempo: float | None, frames_per_quarter: Fraction, mark: float
) -> None:
    values = NoteValues.choose(speed, tempo)
    assert values.frames_per_quarter == frames_per_quarter
    assert values.quarters_per_minute == pytest.approx(mark)


def test_pieces_are_single_note_values_within_bars_and_beats() -> None:
    sixteenths = NoteValues(Fraction(4), 75.0)
    assert list(sixteenths.pieces(0, 5)) == [(0, 4), (4, 5)]
    assert list(sixteenths.pieces(3, 10)) == [(3, 9), (9, 10)]
    assert list(sixteenths.pieces(14, 40)) == [(14, 16), (16, 32), (32, 40)]
    triplets = NoteValues(Fraction(3), 100.0)
    assert list(triplets.pieces(0, 5)) == [(0, 3), (3, 5)]
    assert list(triplets.pieces(1, 12)) == [(1, 3), (3, 12)]


@given(st.sampled_from([Fraction(1, 2), 2, 3, 4, 6, 8, 12, 128]), st.data())
def test_the_pieces_of_a_stretch_are_the_stretch(per_quarter: Fraction, data: Any) -> None:
    start, length = data.draw(st.integers(0, 600)), data.draw(st.integers(1, 600))
    pieces = list(NoteValues(Fraction(per_quarter), 75.0).pieces(start, start + length))
    assert [frame for piece in pieces for frame in range(*piece)] == list(
        range(start, start + length)
    )
