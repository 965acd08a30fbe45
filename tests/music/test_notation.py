"""From frames to notes, voices and MIDI, and back."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pretty_midi
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tunesmith.music import Frame, Grid, MusicError, TrackChoice, notes_from_frames, read_sequence
from tunesmith.music.frames import make_frame
from tunesmith.music.notation import Voice, checked_tempo, to_pretty_midi, voices_of

FRAMES = st.frozensets(st.integers(0, 127), max_size=4).map(make_frame)
SPEEDS = st.sampled_from([1.0, 3.0, 5.0, 10.0, 31.0]) | st.floats(0.1, 200)


def shares(lowest: int) -> st.SearchStrategy[Any]:
    """One value for all voices, or one by voice."""
    one = st.integers(lowest, 127)
    return one | st.tuples(one) | st.tuples(one, one) | st.tuples(one, one, one)


def written(frames: list[Frame], *options: Any) -> bytes:
    content = io.BytesIO()
    to_pretty_midi(frames, *options).write(content)
    return content.getvalue()


def roll_frames(roll: np.ndarray) -> list[Frame]:
    """The frames of a piano roll [128, n]."""
    return [tuple(np.flatnonzero(column).tolist()) for column in roll.T]


def test_equal_pitches_in_a_row_are_one_held_note() -> None:
    notes = notes_from_frames([(60,), (60, 64), (64,), (), (60,)])
    assert [tuple(note) for note in notes] == [(60, 0, 2), (64, 1, 3), (60, 4, 5)]


def test_the_top_is_the_melody_the_bottom_the_bass_and_a_single_line_all_melody() -> None:
    chords: list[Frame] = [(48, 60, 64, 72), (48, 60, 64), (48, 60, 76), (55,), (), (72,)]
    notes = notes_from_frames(chords)
    voices = {
        (note.pitch, note.start): voice
        for note, voice in zip(notes, voices_of(notes, chords), strict=True)
    }
    assert voices == {
        (48, 0): Voice.BASS,
        (60, 0): Voice.INNER,
        (64, 0): Voice.MELODY,  # the highest in one of its two frames
        (72, 0): Voice.MELODY,
        (76, 2): Voice.MELODY,
        (55, 3): Voice.MELODY,
        (72, 5): Voice.MELODY,
    }


def test_a_written_song_has_the_papers_velocity_and_the_program_asked_for() -> None:
    song = to_pretty_midi([(60,)], 5.0, program=24)
    assert song.instruments[0].program == 24
    assert [note.velocity for note in song.instruments[0].notes] == [100]


def test_voices_may_have_programs_and_velocities_of_their_own() -> None:
    song = to_pretty_midi([(48, 60, 72)] * 2, 5.0, program=(73, 48, 32), velocity=(110, 60))
    parts = [(each.name, each.program, each.notes[0].pitch) for each in song.instruments]
    assert parts == [("melody", 73, 72), ("inner voices", 48, 60), ("bass", 32, 48)]
    assert [each.notes[0].velocity for each in song.instruments] == [110, 60, 60]
    two = to_pretty_midi([(48, 60, 72)], 5.0, program=(73, 0))
    assert [len(each.notes) for each in two.instruments] == [1, 2]
    assert len(to_pretty_midi([(60,)], 5.0, program=(73, 0)).instruments) == 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(FRAMES, min_size=1, max_size=300).filter(any),
    SPEEDS,
    shares(0),
    shares(1),
    st.none() | st.floats(20, 400),
)
@example([(), (60,), ()], 5.0, 0, 100, None)
@example([(60,)] * 3 + [()] * 9, 999.0, (0, 1), 1, 60.0)
def test_a_song_reads_back_as_the_frames_it_was_written_from(
    sequence: list[Frame], speed: float, program: Any, velocity: Any, tempo: float | None
) -> None:
    content = written(sequence, speed, program, velocity, tempo)
    roll = pretty_midi.PrettyMIDI(io.BytesIO(content)).get_piano_roll(fs=speed)
    assert roll_frames(roll) == sequence
    heard = [index for index, frame in enumerate(sequence) if frame]
    sounding = sequence[heard[0] : heard[-1] + 1]
    assert read_sequence(content, TrackChoice("all"), Grid(speed)) == sounding


@pytest.mark.parametrize(("speed", "tempo"), [(5.0, None), (97.3, None), (5.0, 300.0)])
def test_a_song_of_hours_does_not_drift(speed: float, tempo: float | None) -> None:
    # Held for most of the time, so that few notes lie far out.
    sequence: list[Frame] = [
        (60 + index % 2,) if index > 99_900 else (50,) for index in range(100_000)
    ]
    content = written(sequence, speed, 0, 100, tempo)
    assert read_sequence(content, TrackChoice("first"), Grid(speed)) == sequence


@pytest.mark.parametrize(
    ("speed", "tempo"), [(5, 75), (8, 120), (10, 75), (3, 90), (1, 120), (0.5, 120), (12.5, 93.75)]
)
def test_a_beat_is_a_power_of_two_of_frames_unless_the_tempo_is_given(
    speed: float, tempo: float
) -> None:
    assert checked_tempo(None, speed) == pytest.approx(tempo)
    song = pretty_midi.PrettyMIDI(io.BytesIO(written([(60,)] * 64, speed)))
    assert song.get_tempo_changes()[1] == pytest.approx([tempo], rel=1e-4)


def test_bars_line_up_at_the_tempo_that_was_asked_for() -> None:
    # At 6 frames a second and 90 beats a minute a beat is four frames, a bar sixteen.
    sequence: list[Frame] = [(60,) if index % 16 < 8 else () for index in range(160)]
    song = pretty_midi.PrettyMIDI(io.BytesIO(written(sequence, 6.0, 0, 100, 90.0)))
    ticks = [song.time_to_tick(note.start) for note in song.instruments[0].notes]
    assert ticks == [bar * 4 * song.resolution for bar in range(10)]
    starts = [note.start for note in song.instruments[0].notes]
    assert song.get_downbeats()[:10] == pytest.approx(starts, abs=1e-6)


@pytest.mark.parametrize(
    ("speed", "program", "velocity", "tempo"),
    [
        (5, 128, 100, None),
        (5, -1, 100, None),
        (5, (0, 128), 100, None),
        (5, (), 100, None),
        (5, (0, 1, 2, 3), 100, None),
        (5, 0, 0, None),
        (5, 0, 128, None),
        (0, 0, 100, None),
        (-5, 0, 100, None),
        (1000, 0, 100, None),
        (float("nan"), 0, 100, None),
        (5, 0, 100, 3),
        (5, 0, 100, 1001),
        (5, 0, 100, float("nan")),
    ],
)
def test_what_midi_cannot_hold_is_refused(
    speed: float, program: Any, velocity: Any, tempo: float | None
) -> None:
    with pytest.raises(MusicError):
        to_pretty_midi([(60,)], speed, program, velocity, tempo)


def test_a_tempo_at_which_frames_have_no_ticks_is_refused_and_another_one_works() -> None:
    with pytest.raises(MusicError, match="another tempo"):
        to_pretty_midi([(60,)] * 10, 900.0, tempo=4.0)
    with pytest.raises(MusicError, match="another tempo"):
        to_pretty_midi([(60,)] * 6_000_000, 5.0)
    assert to_pretty_midi([(60,)] * 10, 900.0).get_end_time() > 0
