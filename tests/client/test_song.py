"""A song: what it says of itself, and the files it becomes."""

from __future__ import annotations

import io
import os
import stat
import wave
from pathlib import Path

import numpy as np
import pretty_midi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tunesmith.client import CannotWrite, Song
from tunesmith.client.files import write_atomically
from tunesmith.client.picture import draw_piano_roll
from tunesmith.client.sound import PEAK, SAMPLE_RATE, render
from tunesmith.music import Frame, Grid, TrackChoice, read_sequence

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


@given(FRAMES, st.sampled_from([3.0, 5.0, 8.0, 12.5]), st.integers(0, 127))
@settings(max_examples=60, deadline=None)
def test_a_written_song_reads_back_as_the_same_frames(
    tmp_path_factory: pytest.TempPathFactory, frames: list[Frame], speed: float, program: int
) -> None:
    song = Song((*frames, (60,)), speed, program)
    path = tmp_path_factory.mktemp("song") / "song.mid"
    song.write(path)
    midi = pretty_midi.PrettyMIDI(str(path))
    assert midi.instruments[0].program == program
    first = next(index for index, frame in enumerate(song.frames) if frame)
    read = read_sequence(path, TrackChoice("first"), Grid(speed))
    assert tuple(read) == song.frames[first:]


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


@pytest.mark.parametrize("length", [1, 16, 60, 300, 1000])
def test_a_piano_roll_has_a_bar_for_each_note(tmp_path: Path, length: int) -> None:
    frames = tuple(MELODY[index % len(MELODY)] for index in range(length))
    Song(frames, 5.0).write_picture(tmp_path / "song.png")
    with Image.open(tmp_path / "song.png") as picture:
        assert picture.format == "PNG"
        assert 300 < picture.width <= 1600
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    # The top voice's colour is there, and only there.
    warm = (pixels[..., 0] > 180) & (pixels[..., 2] < 90)
    assert warm.any()
    blank = np.asarray(draw_piano_roll(((),) * length, 5.0)).astype(int)
    assert not ((blank[..., 0] > 180) & (blank[..., 2] < 90)).any()


def test_the_lowest_and_the_highest_pitch_fit_in_a_picture() -> None:
    picture = draw_piano_roll(((0,), (127,), (0, 127)), 5.0, "the whole keyboard")
    assert picture.height > 128 * 6


def peak_frequency(sound: np.ndarray) -> float:
    size = 1 << 19
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), size))
    return float(np.fft.rfftfreq(size, 1 / SAMPLE_RATE)[spectrum.argmax()])


@pytest.mark.parametrize("program", [0, 19, 48, 73])
def test_an_a_sounds_at_440_hertz(program: int) -> None:
    sound = render(((69,),) * 10, 5.0, program)[: 2 * SAMPLE_RATE]
    cents = 1200 * np.log2(peak_frequency(sound) / 440)
    # Other registers of the same note are as right: an organ's octaves may be louder.
    assert abs((cents + 600) % 1200 - 600) < 15


def test_a_song_sounds_as_long_as_it_lasts_without_clipping() -> None:
    song = Song(MELODY * 4, 5.0)
    with wave.open(io.BytesIO(song.sound())) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 44_100)
        seconds = file.getnframes() / file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    assert song.duration <= seconds <= song.duration + 2
    assert np.abs(samples).max() == round(PEAK * 32767)
    assert np.sqrt(np.mean(samples.astype(float) ** 2)) > 1000


def test_silence_is_silent() -> None:
    sound = render(((),) * 10, 5.0)
    assert len(sound) == 2 * SAMPLE_RATE
    assert not sound.any()


def test_a_note_begins_when_its_frame_does() -> None:
    sound = np.abs(render(((), (), (), (), (), (72,)), 5.0))
    onset = int(np.argmax(sound > 0.02)) / SAMPLE_RATE
    assert onset == pytest.approx(1.0, abs=0.02)


def test_every_program_of_general_midi_sounds() -> None:
    for program in range(128):
        sound = render(((60,),) * 3, 5.0, program)
        assert np.isfinite(sound).all(), program
        assert np.sqrt(np.mean(sound**2)) > 0.01, program
