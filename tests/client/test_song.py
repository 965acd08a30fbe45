"""A song: what it says of itself, and the files it becomes."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pretty_midi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.client import BadOption, CannotWrite, Composer, Song
from tunesmith.client.files import write_atomically
from tunesmith.client.protos import tunesmith_wire_pb2 as wire
from tunesmith.music import Frame

FRAMES = st.lists(
    st.sets(st.integers(21, 108), max_size=4).map(lambda pitches: tuple(sorted(pitches))),
    min_size=1,
    max_size=40,
)

MELODY: tuple[Frame, ...] = ((60,), (60,), (), (67,), (66,), (60, 64, 67), (60, 64, 67), ())


def test_a_song_counts_its_notes_and_its_length() -> None:
    song = Song(MELODY, frames_per_second=5.0)
    assert song.duration == pytest.approx(1.6)
    assert len(song.notes) == 6
    assert song.pitch_range == (60, 67)
    assert song.summary() == "6 notes, C4 to G4, 1.6 s"


def test_the_summary_of_little() -> None:
    assert Song(((),) * 5, 5.0).summary() == "no notes, 1.0 s"
    assert Song(((),) * 5, 5.0).pitch_range is None
    assert Song(((66,),) * 5, 5.0).summary() == "1 note, F#4, 1.0 s"


PLAYING = st.fixed_dictionaries(
    {},
    optional={
        "program": st.integers(0, 127) | st.tuples(st.integers(0, 127), st.integers(0, 127)),
        "velocity": st.integers(1, 127) | st.lists(st.integers(1, 127), min_size=1, max_size=3),
        "tempo": st.floats(30, 250),
        "frames_per_second": st.sampled_from([3.0, 5.0, 8.0, 12.5]),
    },
)


@given(FRAMES, PLAYING)
@settings(max_examples=40, deadline=None)
def test_a_written_song_reads_back_as_the_same_frames(
    tmp_path_factory: pytest.TempPathFactory, frames: list[Frame], playing: Any
) -> None:
    song = Song((*frames, (60,), ()), 5.0)
    path = tmp_path_factory.mktemp("song") / "song.mid"
    song.write(path, **playing)
    played = song.played(**playing)
    roll = pretty_midi.PrettyMIDI(str(path)).get_piano_roll(fs=played.frames_per_second)
    assert tuple(tuple(np.flatnonzero(column).tolist()) for column in roll.T) == song.frames
    again = Song.read(path, frames_per_second=played.frames_per_second)
    first = next(index for index, frame in enumerate(song.frames) if frame)
    assert again.frames == song.frames[first:-1]


def test_a_song_is_played_as_it_says_and_otherwise_where_it_is_told() -> None:
    song = Song(MELODY, 5.0, program=24, velocity=90, tempo=60)
    [part] = song.to_pretty_midi().instruments
    assert (part.program, part.notes[0].velocity) == (24, 90)
    assert song.to_pretty_midi().get_tempo_changes()[1] == pytest.approx([60], rel=1e-4)
    [fast] = song.to_pretty_midi(program=40, velocity=30, frames_per_second=10.0).instruments
    assert (fast.program, fast.notes[0].velocity) == (40, 30)
    assert fast.notes[-1].end == pytest.approx(part.notes[-1].end / 2, rel=1e-3)
    parts = song.to_pretty_midi(program=[73, 0]).instruments
    assert [each.program for each in parts] == [73, 0]
    assert hash(song.played(program=[73, 0])) == hash(song.played(program=(73, 0)))


@pytest.mark.parametrize(
    "playing",
    [
        {"program": 128},
        {"program": ()},
        {"velocity": 0},
        {"velocity": (100, 200)},
        {"tempo": 2.0},
        {"frames_per_second": 0.0},
    ],
)
def test_what_no_file_can_hold_is_refused_by_each_of_them(tmp_path: Path, playing: Any) -> None:
    song = Song(MELODY, 5.0)
    for write in (song.write, song.write_picture, song.write_sound, song.write_player):
        with pytest.raises(BadOption, match=r"\d"):
            write(tmp_path / "song", **playing)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_song_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.mid").write_bytes(b"not music")
    Song(((),) * 9, 5.0).write(tmp_path / "rest.mid")
    for name in ("absent.mid", "broken.mid", "rest.mid"):
        with pytest.raises(BadOption, match=name) as caught:
            Song.read(tmp_path / name)
        assert "\n" not in str(caught.value)
    Song(MELODY, 5.0).write(tmp_path / "song.mid")
    for arguments in ({"track": "nonsense"}, {"frames_per_second": 0.0}):
        with pytest.raises(BadOption):
            Song.read(tmp_path / "song.mid", **arguments)
    assert Song.read(tmp_path / "song.mid", program=24).program == 24


def test_a_model_of_beats_says_the_tempo_of_its_songs(contract: Any, address: str) -> None:
    with Composer(address) as composer:
        assert composer.generate(steps=2).tempo is None
        six = wire.TensorProto(dtype=wire.DT_INT32, int_val=[6])
        six.tensor_shape.dim.add(size=1)
        settings = {**contract.settings(), "frames_per_beat": six}
        contract.settings, contract.version = lambda: settings, contract.version + 1
        # 8 frames a second, six a beat.
        assert composer.generate(steps=2).tempo == 80


def test_a_notebook_shows_the_picture() -> None:
    assert Song(MELODY, 5.0)._repr_png_() == Song(MELODY, 5.0).picture()


def test_where_a_song_came_from() -> None:
    assert Song(MELODY, 5.0).origin() == ""
    song = Song(MELODY, 5.0, model="tunesmith", model_version=3, seed=7)
    assert song.origin() == "tunesmith, version 3, seed 7"
    assert replace(song, index=1).origin() == "tunesmith, version 3, seed 7, song 2"
    assert song.headlines() == (
        "6 notes, C4 to G4, 1.6 s",
        "75 beats a minute, 5 frames a second, tunesmith, version 3, seed 7",
    )
    assert song.headlines("Rain")[1].startswith("6 notes, C4 to G4, 1.6 s, 75 beats")


def test_writing_replaces_the_old_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "song.mid"
    path.write_bytes(b"old")
    Song(MELODY, 5.0).write(path)
    assert path.read_bytes().startswith(b"MThd")
    assert [each.name for each in tmp_path.iterdir()] == ["song.mid"]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for place in ("absent/song.mid", "file/song.mid", "folder"):
        with pytest.raises(CannotWrite, match=place) as caught:
            Song(MELODY, 5.0).write(tmp_path / place)
        assert "\n" not in str(caught.value)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "folder"]


def test_an_interrupted_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "song.mid"
    path.write_bytes(b"old")

    def interrupted(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["song.mid"]
