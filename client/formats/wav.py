"""WAV: the song as sound, played with the General MIDI soundfont that comes with pretty_midi.

A note is a sample of the soundfont, resampled to the pitch and looped while it is held, through the
soundfont's low-pass filter and volume envelope. There is no reverb and no chorus.

No library plays soundfonts on every platform that numpy has wheels for: tinysoundfont 0.3.7 sounds
the same, but requires PyAudio, which pip has to compile on Linux, and has no wheels for Python 3.13
or ARM there; symusic's synthesizer has neither the filter nor the release of a note.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tunesmith.client.formats.soundfont import Generator, SoundFont, Voice, general_midi
from tunesmith.music import DEFAULT_VELOCITY, Frame, notes_from_frames
from tunesmith.music.notation import (
    ByVoice,
    checked_programs,
    checked_velocities,
    share,
    voices_of,
)

if TYPE_CHECKING:
    from tunesmith.client.song import Song

SAMPLE_RATE = 44_100

LONGEST_RELEASE = 2.0
"""Seconds of sound after the last note's end; a longer release is inaudible by then."""

PEAK = 0.89
"""The largest sample of a song, of full scale: one decibel of headroom."""

Samples = NDArray[np.float32]


class WavFormat:
    """``.wav``: one channel, 16 bits, 44.1 kHz, played by the song's programs."""

    name = "WAV"
    suffixes = (".wav",)
    library = None

    def write(self, song: Song, file: BinaryIO) -> None:
        """Write the song."""
        file.write(wav_bytes(song.frames, song.frames_per_second, song.program, song.velocity))


FORMAT = WavFormat()


def render(
    frames: Sequence[Frame],
    frames_per_second: float,
    program: ByVoice = 0,
    velocity: ByVoice = DEFAULT_VELOCITY,
) -> Samples:
    """Return the sound of `frames`, float32 [n] at 44,100 Hz, with its peak at 0.89.

    The sound lasts as long as the frames, and at most two seconds more while the last notes fade.
    The same arguments give the same samples.

    Args:
        frames: the pitches that sound in each frame.
        frames_per_second: a frame lasts ``1 / frames_per_second`` seconds.
        program: General MIDI program 0..127, or two or three by voice.
        velocity: of every note, 1..127, or two or three by voice.

    Raises:
        MusicError: a program or a velocity is out of range.
    """
    font = general_midi()
    programs, velocities = checked_programs(program), checked_velocities(velocity)
    samples_per_frame = SAMPLE_RATE / frames_per_second
    held = notes_from_frames(frames)
    tail = LONGEST_RELEASE if held else 0.0
    length = round(len(frames) * samples_per_frame)
    sound = np.zeros(length + round(tail * SAMPLE_RATE), dtype=np.float32)
    rendered: dict[tuple[int, int, int, int], Samples] = {}
    for note, voice in zip(held, voices_of(held, frames), strict=True):
        frames_held = note.end - note.start
        key = share(programs, voice), note.pitch, share(velocities, voice), frames_held
        if key not in rendered:
            rendered[key] = _render_note(font, *key[:3], frames_held / frames_per_second)
        start = round(note.start * samples_per_frame)
        part = rendered[key][: len(sound) - start]
        sound[start : start + len(part)] += part
    peak = float(max(sound.max(initial=0.0), -sound.min(initial=0.0)))
    if peak > 0:
        sound *= PEAK / peak
    audible = np.flatnonzero(np.abs(sound[length:]) > 1 / 32768)
    return sound[: length + (int(audible[-1]) + 1 if len(audible) else 0)]


def wav_bytes(
    frames: Sequence[Frame],
    frames_per_second: float,
    program: ByVoice = 0,
    velocity: ByVoice = DEFAULT_VELOCITY,
) -> bytes:
    """Return :func:`render`'s sound as a WAV file: one channel, 16 bits, 44,100 Hz."""
    sound = render(frames, frames_per_second, program, velocity)
    sound *= 32767
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.rint(sound, out=sound).astype("<i2").data)
    return content.getvalue()


def _render_note(
    font: SoundFont, program: int, pitch: int, velocity: int, seconds: float
) -> Samples:
    """Return one note, float32 [n], held for `seconds` and then released."""
    voices = font.voices(program, pitch, velocity)
    parts = [_render_voice(voice, seconds) for voice in voices]
    note = np.zeros(max(map(len, parts), default=0), dtype=np.float32)
    for part in parts:
        note[: len(part)] += part
    return note


def _render_voice(voice: Voice, seconds: float) -> Samples:
    release = min(_seconds(voice.generators[Generator.RELEASE]), LONGEST_RELEASE)
    length = round((seconds + release) * SAMPLE_RATE)
    wave_form = _resampled(voice, length)
    time = np.arange(len(wave_form)) / SAMPLE_RATE
    return _filtered(wave_form, voice) * _envelope(voice, time, seconds)


def _resampled(voice: Voice, length: int) -> Samples:
    """Return at most `length` samples at the output rate, by Catmull-Rom interpolation."""
    step = voice.step / SAMPLE_RATE
    source = voice.samples
    needed = int(length * step) + 4
    if voice.loop_start is not None and needed > len(source):
        loop = source[voice.loop_start :]
        source = np.concatenate([source, np.tile(loop, -(-(needed - len(source)) // len(loop)))])
    length = max(min(length, int((len(source) - 3) / step)), 0)
    position = np.arange(length) * step
    index = position.astype(np.int64)
    part = (position - index).astype(np.float32)
    before, here, there, after = (source[np.maximum(index + shift, 0)] for shift in (-1, 0, 1, 2))
    slope = 0.5 * (there - before)
    result = here + part * (
        slope
        + part
        * (
            before
            - 2.5 * here
            + 2 * there
            - 0.5 * after
            + part * (1.5 * (here - there) + 0.5 * (after - before))
        )
    )
    return result.astype(np.float32)


def _filtered(samples: Samples, voice: Voice) -> Samples:
    """Return `samples` through a two-pole low-pass at the zone's cutoff when the note is struck.

    The analogue Butterworth response ``1 / (1 + j sqrt(2) w - w^2)`` is applied to the spectrum,
    zero-padded so that the end does not wrap into the start.
    """
    cents = voice.generators[Generator.FILTER_CUTOFF]
    cents += max(voice.generators[Generator.MODULATION_TO_FILTER], 0)
    cutoff = 8.176 * 2 ** (cents / 1200)
    if cutoff > SAMPLE_RATE / 4:
        return samples
    size = 1 << (len(samples) + 1024).bit_length()
    ratio = np.fft.rfftfreq(size, 1 / SAMPLE_RATE) / cutoff
    response = 1 / (1 + 1j * np.sqrt(2) * ratio - ratio**2)
    filtered = np.fft.irfft(np.fft.rfft(samples, size) * response, size)
    return filtered[: len(samples)].astype(np.float32)


def _envelope(voice: Voice, time: NDArray[np.float64], seconds: float) -> Samples:
    """Return the loudness over `time`, float32 [n] (section 8.1.2, volume envelope).

    Attack is linear in amplitude; decay and release are linear in decibels, their times being those
    of 100 dB.
    """
    generators = voice.generators
    attack, hold, decay, release = (
        _seconds(generators[key])
        for key in (Generator.ATTACK, Generator.HOLD, Generator.DECAY, Generator.RELEASE)
    )
    sustain = min(max(generators[Generator.SUSTAIN], 0), 1000) / 10
    held = np.minimum(time, seconds)
    fallen = np.clip((held - attack - hold) / decay * 100, 0, sustain)
    fallen += np.maximum(time - seconds, 0) / min(release, LONGEST_RELEASE) * 100
    # Hardware and players take four tenths of the written attenuation, and banks count on it.
    fallen += 0.4 * generators[Generator.ATTENUATION] / 10
    rise = np.minimum(held / attack, 1)
    return (rise * 10 ** (-fallen / 20)).astype(np.float32)


def _seconds(timecents: int) -> float:
    return float(2 ** (timecents / 1200))
