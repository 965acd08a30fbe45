"""Reading: track choices, and what pretty_midi's own piano roll says of real songs."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pretty_midi
import pytest

from tunesmith.music import MusicError, TrackChoice, UnusableFile, read_sequence
from tunesmith.music.reading import parse_midi


def instrument(
    *notes: tuple[int, float, float], name: str = "", program: int = 0, drums: bool = False
) -> pretty_midi.Instrument:
    made = pretty_midi.Instrument(program=program, is_drum=drums, name=name)
    made.notes = [pretty_midi.Note(100, *note) for note in notes]
    return made


def song(*instruments: pretty_midi.Instrument) -> bytes:
    made = pretty_midi.PrettyMIDI()
    made.instruments += instruments
    content = io.BytesIO()
    made.write(content)
    return content.getvalue()


BAND = song(
    instrument((72, 0, 1), name="MELODY", program=0),
    instrument((48, 0.45, 1.45), name="BASS", program=33),
    instrument((36, 0, 1), name="KIT", drums=True),
)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("first", [(72,)] * 5),
        ("all", [(72,)] * 2 + [(48, 72)] * 3 + [(48,)] * 2),
        ("name:bass", [(48,)] * 5),
        ("program:33", [(48,)] * 5),
    ],
)
def test_each_track_choice_reads_its_instruments(
    choice: str, expected: list[tuple[int, ...]]
) -> None:
    track = TrackChoice.parse(choice)
    assert str(track) == choice
    assert read_sequence(BAND, track) == expected


@pytest.mark.parametrize("text", ["", "second", "name:", "program:128", "program:-1", "program:x"])
def test_what_is_no_track_choice_is_refused(text: str) -> None:
    with pytest.raises(MusicError, match="write first, all, name:PIANO or program:0"):
        TrackChoice.parse(text)


@pytest.mark.parametrize(
    ("content", "choice", "reason"),
    [
        (BAND, "name:FLUTE", "no such track"),
        (BAND, "name:KIT", "drum track"),
        (song(), "first", "no such track"),
        (song(instrument(name="A")), "all", "no such track"),
        (song(instrument((60, 0, 0.1))), "first", "no notes"),
        (song(instrument((60, 0, 1))), "first", "too short"),
        (b"", "first", "malformed"),
        (b"MThd", "first", "malformed"),
        (BAND[:60], "first", "malformed"),
        (b"\0" * 500, "first", "malformed"),
    ],
)
def test_what_cannot_be_used_says_why(content: bytes, choice: str, reason: str) -> None:
    with pytest.raises(UnusableFile) as raised:
        read_sequence(content, TrackChoice.parse(choice), minimum_frames=10)
    assert raised.value.reason == reason


def test_a_file_that_is_not_there_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnusableFile) as raised:
        read_sequence(tmp_path / "none.mid", TrackChoice("first"))
    assert raised.value.reason == "unreadable"


def test_the_pedal_and_bends_count_as_get_piano_roll_has_them() -> None:
    pedalled = instrument((60, 0, 0.4), (67, 1.8, 2.0))
    pedalled.control_changes = [
        pretty_midi.ControlChange(64, 127, 0.0),
        pretty_midi.ControlChange(64, 0, 1.0),
    ]
    pedalled.pitch_bends = [pretty_midi.PitchBend(4096, 1.8)]
    frames = read_sequence(song(pedalled), TrackChoice("first"))
    assert frames == [(60,)] * 5 + [()] * 4 + [(68,)]


def test_the_papers_songs_read_as_its_program_reads_them(jj_lin: Path) -> None:
    paths = sorted(jj_lin.glob("*.mid"))
    assert len(paths) == 22
    distinct = set()
    for path in paths:
        frames = read_sequence(path, TrackChoice("first"))
        roll = parse_midi(path.read_bytes()).instruments[0].get_piano_roll(fs=5)
        sounding = np.flatnonzero(roll.any(axis=0))
        roll = roll[:, sounding[0] : sounding[-1] + 1]
        assert frames == [tuple(np.flatnonzero(column)) for column in roll.T]
        distinct.update(frames)
    assert len(distinct - {()}) == 277
