"""Notes that reach the frames as onsets, and why the others do not."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import pretty_midi
import pytest

from tunesmith.music import Grid, TrackChoice, read_song
from tunesmith.music.note_counts import NoteCounts, describe_notes
from tunesmith.music.reading import parse_midi

Note = tuple[int, float, float]


def midi(*instruments: list[Note], bend: int = 0) -> bytes:
    song = pretty_midi.PrettyMIDI()
    for notes in instruments:
        made = pretty_midi.Instrument(0)
        made.notes = [pretty_midi.Note(100, *note) for note in notes]
        if bend:
            made.pitch_bends = [pretty_midi.PitchBend(bend, 0.0)]
        song.instruments.append(made)
    file = io.BytesIO()
    song.write(file)
    return file.getvalue()


def counted(data: bytes, grid: Grid | None = None, track: str = "all") -> NoteCounts:
    return read_song(data, TrackChoice.parse(track), grid or Grid()).notes


def test_a_repeated_note_without_a_gap_merges_and_one_with_a_gap_does_not() -> None:
    assert counted(midi([(60, 0.0, 1.0), (60, 1.0, 2.0)])) == NoteCounts(kept=1, repeated=1)
    assert counted(midi([(60, 0.0, 1.0), (60, 1.3, 2.0)])) == NoteCounts(kept=2)


def test_a_note_within_a_frame_vanishes_unless_the_grid_keeps_it() -> None:
    song = midi([(60, 0.0, 1.0), (64, 1.05, 1.15)])
    assert counted(song) == NoteCounts(kept=1, too_short=1)
    assert counted(song, Grid(keep_short_notes=True)) == NoteCounts(kept=2)


def test_a_pitch_outside_the_range_is_told() -> None:
    song = midi([(60, 0.0, 1.0), (30, 0.0, 1.0)])
    assert counted(song, Grid(lowest=40)) == NoteCounts(kept=1, outside=1)


def test_two_instruments_of_one_note_count_as_one_onset() -> None:
    song = midi([(60, 0.0, 1.0)], [(60, 0.0, 0.6)])
    assert counted(song) == NoteCounts(kept=1, doubled=1)
    assert counted(song, track="first") == NoteCounts(kept=1)


def test_a_bend_to_another_pitch_is_told() -> None:
    assert counted(midi([(60, 0.0, 2.0), (67, 0.4, 1.0)], bend=8191)) == NoteCounts(bent=2)


def test_counts_are_added_and_travel_as_bytes() -> None:
    one, other = NoteCounts(1, 2, 3, 4, 5, 6), NoteCounts(10, 20, 30, 40, 50, 60)
    assert one.added(other) == NoteCounts(11, 22, 33, 44, 55, 66)
    assert NoteCounts.from_bytes(one.to_bytes()) == one
    assert one.total == 21


def test_the_line_names_the_most_frequent_reason_first_and_none_that_is_not() -> None:
    assert describe_notes(NoteCounts(kept=7900, too_short=600, repeated=1500)) == (
        "10,000 notes in the files, 7,900 note starts in the tokens; lost: 1,500 merged with the "
        "previous note of the same pitch, 600 shorter than a frame"
    )
    assert describe_notes(NoteCounts(kept=3)) == (
        "3 notes in the files, 3 note starts in the tokens"
    )


def has_bends(path: Path) -> bool:
    return any(each.pitch_bends for each in parse_midi(path.read_bytes()).instruments)


@pytest.mark.parametrize("track", ["first", "all"])
def test_the_notes_kept_of_real_songs_are_the_onsets_of_their_frames(
    jj_lin: Path, track: str
) -> None:
    exact = 0
    for path in sorted(jj_lin.rglob("*.mid")):
        song = read_song(path, TrackChoice.parse(track))
        frames = [set(frame) for frame in song.frames]
        begun = len(frames[0]) + sum(len(now - then) for then, now in itertools.pairwise(frames))
        # A bend lets a pitch sound, or be silent, without a note that begins.
        if not has_bends(path):
            assert song.notes.kept == begun, path
            exact += 1
    assert exact
