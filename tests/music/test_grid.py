"""Grids: tempo-following ones, short notes, pitch limits."""

from __future__ import annotations

import io
from typing import Any

import pretty_midi
import pytest

from tunesmith.music import CorpusSettings, Grid, MusicError, TrackChoice, UnusableFile, read_song

FIRST = TrackChoice("first")


def melody(tempo: float, *notes: tuple[int, float, float]) -> bytes:
    """A song of (pitch, start, end), times in beats."""
    song = pretty_midi.PrettyMIDI(initial_tempo=tempo)
    beat = 60 / tempo
    piano = pretty_midi.Instrument(0)
    piano.notes = [pretty_midi.Note(90, pitch, a * beat, b * beat) for pitch, a, b in notes]
    song.instruments.append(piano)
    content = io.BytesIO()
    song.write(content)
    return content.getvalue()


@pytest.mark.parametrize("tempo", [40, 120, 181.5])
def test_a_beat_grid_gives_the_same_frames_at_every_tempo(tempo: float) -> None:
    song = read_song(melody(tempo, (60, 0, 1), (62, 1, 1.5), (64, 2, 3)), FIRST, Grid(0.1, 4))
    assert song.frames == [(60,)] * 4 + [(62,)] * 2 + [()] * 2 + [(64,)] * 4
    assert song.frames_per_second == pytest.approx(4 * tempo / 60, rel=1e-3)


def test_a_short_note_is_dropped_or_kept_as_asked() -> None:
    content = melody(60, (60, 0, 1), (72, 1.05, 1.15), (64, 1.2, 2))
    assert (72,) not in read_song(content, FIRST).frames
    assert read_song(content, FIRST, Grid(keep_short_notes=True)).frames[5] == (72,)


def test_pitches_outside_the_range_are_left_out() -> None:
    content = melody(60, (40, 0, 1), (60, 0, 1), (90, 0, 2))
    assert read_song(content, FIRST, Grid(lowest=50, highest=80)).frames == [(60,)] * 5
    with pytest.raises(UnusableFile, match="no notes"):
        read_song(content, FIRST, Grid(lowest=100))


@pytest.mark.parametrize(
    "values",
    [
        {"frames_per_second": 0},
        {"frames_per_second": float("nan")},
        {"frames_per_beat": -1},
        {"lowest": 70, "highest": 60},
        {"highest": 128},
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(MusicError):
        Grid(**values)


def test_settings_are_read_back_from_their_dictionary() -> None:
    settings = CorpusSettings(
        TrackChoice("name", name="PIANO"), Grid(7.5, 4, True, 21, 108), (-5, 6)
    )
    assert CorpusSettings.from_dict(settings.to_dict()) == settings
    with pytest.raises(MusicError):
        CorpusSettings.from_dict({"track": "first"})
    with pytest.raises(MusicError, match="semitones"):
        CorpusSettings(transpose=(1, 2))
