"""The sound of a song: its pitches, its length, its voices, and no clicks."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import pretty_midi
import pytest

from tunesmith.client import Song
from tunesmith.client.formats.soundfont import general_midi
from tunesmith.client.formats.wav import PEAK, SAMPLE_RATE, render
from tunesmith.music import Frame

MELODY: tuple[Frame, ...] = ((60,), (60,), (), (67,), (66,), (60, 64, 67), (60, 64, 67), ())


def test_pretty_midi_brings_the_soundfont() -> None:
    # A file of another package's own, which a release of it may drop.
    assert Path(pretty_midi.__file__).with_name("TimGM6mb.sf2").stat().st_size > 5_000_000
    assert general_midi().voices(0, 60, 100)


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


def test_voices_sound_with_programs_and_velocities_of_their_own() -> None:
    frames = ((48, 72),) * 10
    whole = render(frames, 5.0, (73, 32), (100, 40))
    melody, bass = render(((72,),) * 10, 5.0, 73), render(((48,),) * 10, 5.0, 32, 40)
    # Each alone has its own peak at 0.89; together they are what adds up to the whole.
    length = min(map(len, (whole, melody, bass)))
    shares = np.linalg.lstsq(
        np.stack([melody[:length], bass[:length]], axis=1), whole[:length], rcond=None
    )
    assert (shares[0] > 0.05).all()
    assert float(shares[1][0]) < 1e-3 * float(np.sum(whole**2))


def test_no_sample_stands_out_of_its_surroundings() -> None:
    # A click is a jump between two samples that nothing near it comes up to.
    sound = render(MELODY * 6, 5.0, (0, 48))
    jumps = np.abs(np.diff(sound, 2))
    blocks = np.sort(jumps[: len(jumps) // 64 * 64].reshape(-1, 64), axis=1)
    assert (blocks[:, -1] < 4 * blocks[:, -4] + 0.01).all()


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
