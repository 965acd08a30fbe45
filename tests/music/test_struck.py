"""Struck frames: notes that are repeated without a gap stay apart, written and read back."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pretty_midi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.music import Frame, Grid, MusicError, StruckFrame, TrackChoice, read_song
from tunesmith.music.frames import parse_frame
from tunesmith.music.measures import MEASURES
from tunesmith.music.notation import HeldNote, notes_from_frames, to_pretty_midi
from tunesmith.music.note_counts import NoteCounts
from tunesmith.music.struck import (
    pack_struck,
    parse_struck,
    plain_frames,
    struck_frames,
    struck_name,
    unpack_struck,
)

ALL = TrackChoice("all")
ONSETS = Grid(keep_onsets=True)

PITCHES = st.frozensets(st.integers(0, 127), max_size=4)
STRUCK = PITCHES.flatmap(
    lambda pitches: st.builds(
        StruckFrame,
        st.just(pitches),
        st.frozensets(st.sampled_from(sorted(pitches))) if pitches else st.just(frozenset()),
    )
)


@st.composite
def tunes(draw: st.DrawFn) -> list[HeldNote]:
    """Notes of which no two of one pitch sound at once; most follow each other without a gap."""
    notes = []
    for pitch in sorted(draw(st.frozensets(st.integers(21, 108), min_size=1, max_size=4))):
        at = 0
        for gap, length in draw(st.lists(st.tuples(st.sampled_from([0, 0, 0, 1, 5]), LENGTHS))):
            notes.append(HeldNote(pitch, at + gap, at + gap + length))
            at += gap + length
    return sorted(notes, key=lambda note: (note.start, note.pitch))


LENGTHS = st.integers(1, 6)


def frames_of(notes: Iterable[HeldNote]) -> list[Frame]:
    """The frames in which the notes sound, as struck ones."""
    notes = list(notes)
    return [
        StruckFrame(
            [note.pitch for note in notes if note.start <= at < note.end],
            [note.pitch for note in notes if note.start == at],
        )
        for at in range(max((note.end for note in notes), default=0))
    ]


def midi(frames: list[Frame], speed: float = 5.0) -> bytes:
    content = io.BytesIO()
    to_pretty_midi(frames, speed).write(content)
    return content.getvalue()


def test_a_struck_pitch_begins_a_note_and_a_held_one_does_not() -> None:
    frames = [StruckFrame((60,), (60,)), StruckFrame((60,), ()), StruckFrame((60, 64), (60,))]
    # 64 is held, but there is nothing before that it could be held from.
    assert notes_from_frames(frames) == [(60, 0, 2), (60, 2, 3), (64, 2, 3)]
    assert notes_from_frames(plain_frames(frames)) == [(60, 0, 3), (64, 2, 3)]


@given(tunes())
def test_notes_come_back_from_the_file_that_they_were_written_to(notes: list[HeldNote]) -> None:
    """The law of the encoding: repeated notes that start on different frames stay apart."""
    frames = frames_of(notes)
    assert notes_from_frames(frames) == notes
    if not notes:
        return
    first = notes[0].start
    reading = read_song(midi(frames), ALL, ONSETS)
    heard = notes_from_frames(reading.frames)
    assert [HeldNote(p, start + first, end + first) for p, start, end in heard] == notes
    assert reading.notes == NoteCounts(kept=len(notes))


@given(tunes())
def test_what_sounds_is_what_is_read_without_onsets(notes: list[HeldNote]) -> None:
    if not notes:
        return
    data = midi(frames_of(notes))
    struck, plain = read_song(data, ALL, ONSETS), read_song(data, ALL)
    assert struck.frames == plain.frames
    assert struck.distinct.tolist() == plain.distinct.tolist()
    assert not any(isinstance(frame, StruckFrame) for frame in plain.frames)
    # Notes that touch are one where nothing says that they are struck.
    merged = sum(
        a.end == b.start
        for a, b in pairwise(sorted(notes, key=lambda n: (n.pitch, n.start)))
        if a.pitch == b.pitch
    )
    assert plain.notes == NoteCounts(kept=len(notes) - merged, repeated=merged)


def test_a_note_under_the_pedal_is_struck_again() -> None:
    song = pretty_midi.PrettyMIDI()
    piano = pretty_midi.Instrument(0)
    piano.notes = [pretty_midi.Note(100, 60, at, at + 0.5) for at in (0.0, 1.0)]
    piano.control_changes = [
        pretty_midi.ControlChange(64, value, at) for value, at in ((127, 0.1), (0, 2.0))
    ]
    song.instruments.append(piano)
    content = io.BytesIO()
    song.write(content)
    frames = read_song(content.getvalue(), ALL, ONSETS).frames
    assert notes_from_frames(frames) == [(60, 0, 5), (60, 5, 10)]
    assert notes_from_frames(plain_frames(frames)) == [(60, 0, 10)]


def test_a_bent_note_is_struck_where_its_sound_begins() -> None:
    song = pretty_midi.PrettyMIDI()
    piano = pretty_midi.Instrument(0)
    piano.notes = [pretty_midi.Note(100, 60, 0.0, 2.0)]
    piano.pitch_bends = [pretty_midi.PitchBend(8191, 0.0)]
    song.instruments.append(piano)
    content = io.BytesIO()
    song.write(content)
    frames = read_song(content.getvalue(), ALL, ONSETS).frames
    assert [note.start for note in notes_from_frames(frames)] == [0] * len(frames[0])
    assert 60 not in frames[0]


def test_real_songs_keep_the_notes_that_merge_in_plain_frames(jj_lin: Path) -> None:
    lost = 0
    for path in sorted(jj_lin.rglob("*.mid"))[:8]:
        struck, plain = read_song(path, ALL, ONSETS), read_song(path, ALL)
        assert struck.frames == plain.frames
        assert struck.notes == plain.notes._replace(
            kept=struck.notes.kept, repeated=0, doubled=struck.notes.doubled
        )
        again = read_song(midi(struck.frames), ALL, ONSETS).frames
        assert notes_from_frames(again) == notes_from_frames(struck.frames)
        lost += struck.notes.kept - plain.notes.kept
    assert lost > 1000


@given(STRUCK)
def test_a_name_says_which_pitches_are_struck_and_is_none_of_a_plain_frame(
    frame: StruckFrame,
) -> None:
    name = struck_name(frame)
    read = parse_struck(name)
    assert (tuple(read), read.struck) == (tuple(frame), frame.struck)
    if frame:
        with pytest.raises(MusicError, match="is not a frame"):
            parse_frame(name)
        # Nor do readers that are content with numbers between commas take it for one.
        for part in name.split(","):
            with pytest.raises(ValueError, match="invalid literal"):
                int(part)


def test_names_are_written_in_one_way() -> None:
    assert struck_name(StruckFrame((64, 60), (60,))) == "60!,64~"
    assert struck_name(StruckFrame((), ())) == "e"
    for wrong in ("", "60", "60!,", "!", "64!,60!", "60!,60~", "128!", "60?", " 60!", "6_0!", "e!"):
        with pytest.raises(MusicError, match=r"is not a struck frame|a MIDI number"):
            parse_struck(wrong)


def test_what_is_struck_must_sound() -> None:
    with pytest.raises(MusicError, match="struck"):
        StruckFrame((60,), (62,))
    with pytest.raises(MusicError, match="0 to 127"):
        StruckFrame((128,), ())


def test_a_struck_frame_is_its_pitches_to_whoever_does_not_ask() -> None:
    struck, held = StruckFrame((60,), (60,)), StruckFrame((60,), ())
    assert struck == held == (60,)
    assert len({struck, held, (60,)}) == 1
    song = [struck, held, struck]
    assert len(notes_from_frames(song)) == 2
    for measure in MEASURES.values():
        assert measure.of(song) == pytest.approx(measure.of([(60,)] * 3), nan_ok=True)
    assert repr(struck) == "StruckFrame((60,), struck=(60,))"
    for twin in (copy.deepcopy(struck), pickle.loads(pickle.dumps(struck))):
        assert (tuple(twin), twin.struck) == ((60,), (60,))


def test_plain_frames_are_struck_where_their_pitches_begin() -> None:
    found = struck_frames([(60,), (60, 64), (), StruckFrame((64,), ()), (64,)])
    assert [struck_name(frame) for frame in found] == ["60!", "60~,64!", "e", "64~", "64~"]


@given(st.lists(STRUCK, max_size=8))
def test_bits_say_what_sounds_and_what_is_struck(frames: list[StruckFrame]) -> None:
    packed = pack_struck(frames)
    assert packed.shape == (len(frames), 32)
    assert packed.dtype == np.uint8
    again = unpack_struck(packed)
    assert [struck_name(frame) for frame in again] == [struck_name(frame) for frame in frames]
