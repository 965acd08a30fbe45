"""From frames to MIDI and back."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.music import Frame, Grid, MusicError, TrackChoice, notes_from_frames, read_sequence
from tunesmith.music.frames import make_frame
from tunesmith.music.notation import to_pretty_midi

frames = st.frozensets(st.integers(0, 127), max_size=4).map(make_frame)


def test_equal_pitches_in_a_row_are_one_held_note() -> None:
    notes = notes_from_frames([(60,), (60, 64), (64,), (), (60,)])
    assert [tuple(note) for note in notes] == [(60, 0, 2), (64, 1, 3), (60, 4, 5)]


def test_a_written_song_has_the_papers_velocity_and_the_program_asked_for() -> None:
    song = to_pretty_midi([(60,)], 5.0, program=24)
    assert song.instruments[0].program == 24
    assert [note.velocity for note in song.instruments[0].notes] == [100]


def sounding(sequence: list[Frame]) -> list[Frame]:
    """Without the rests at either end, which a MIDI file does not hold."""
    heard = [index for index, frame in enumerate(sequence) if frame]
    return sequence[heard[0] : heard[-1] + 1]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(frames, min_size=1, max_size=400).filter(any),
    st.sampled_from([1.0, 3.0, 5.0, 10.0, 31.0]) | st.floats(0.5, 100),
)
def test_a_song_reads_back_as_the_frames_it_was_written_from(
    sequence: list[tuple[int, ...]], speed: float
) -> None:
    content = io.BytesIO()
    to_pretty_midi(sequence, speed).write(content)
    assert read_sequence(content.getvalue(), TrackChoice("first"), Grid(speed)) == sounding(
        sequence
    )


@pytest.mark.parametrize(
    ("speed", "program", "velocity"), [(5, 128, 100), (5, -1, 100), (5, 0, 0), (0.1, 0, 100)]
)
def test_what_midi_cannot_hold_is_refused(speed: float, program: int, velocity: int) -> None:
    with pytest.raises(MusicError):
        to_pretty_midi([(60,)], speed, program, velocity)
