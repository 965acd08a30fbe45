"""From frames back to notes, voices and a MIDI file.

Consecutive frames that hold the same pitch are one held note: a plain frame says which pitches
sound, not which are struck, so a repeated note and a held one are the same frames. Struck frames
(:mod:`tunesmith.music.struck`) tell them apart. No frame says who plays what: a voice is what a
listener takes for one, the top, the bottom and what is inside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tunesmith.music.errors import MusicError
from tunesmith.music.frames import REST, Frame
from tunesmith.music.struck import StruckFrame

if TYPE_CHECKING:
    import pretty_midi

DEFAULT_VELOCITY = 100
"""The paper's program writes every note at velocity 100."""

BEATS_PER_BAR = 4
"""What a MIDI file without a time signature is read as."""

SLOWEST_TEMPO, FASTEST_TEMPO = 4, 1000
"""Beats a minute. MIDI stores a beat as microseconds in 24 bits, which ends at 3.6."""

FASTEST_FRAMES = 1000
"""Frames a second; :class:`tunesmith.music.Grid` has the same bound."""

TICKS_PER_BEAT = 480

_MOST_TICKS_PER_BEAT = 32_767
_LEAST_TICKS_PER_FRAME = 8
# pretty_midi takes a file of more than ten million ticks for a broken one.
_MOST_TICKS = 9_900_000
_ALL_NOTES_OFF = 123

PART_NAMES = {
    1: ("",),
    2: ("melody", "accompaniment"),
    3: ("melody", "inner voices", "bass"),
}
"""The names of the parts of a written song, by how many there are."""


class HeldNote(NamedTuple):
    """A pitch that sounds from frame `start` up to, not including, frame `end`."""

    pitch: int
    start: int
    end: int


class Voice(IntEnum):
    """What part of the music a held note belongs to."""

    MELODY = 0
    INNER = 1
    BASS = 2


ByVoice = int | Sequence[int]
"""One value for all voices; or two, the melody's and that of all else; or three, those of melody,
inner voices and bass."""


def notes_from_frames(frames: Sequence[Frame]) -> list[HeldNote]:
    """Return the held notes of `frames`, ordered by start, then pitch.

    A note begins where its pitch did not sound in the frame before, or where it is struck.
    """
    notes: list[HeldNote] = []
    started: dict[int, int] = {}
    for index, frame in enumerate([*frames, REST]):
        held = set(frame)
        if isinstance(frame, StruckFrame):
            held.difference_update(frame.struck)
        for pitch in [pitch for pitch in started if pitch not in held]:
            notes.append(HeldNote(pitch, started.pop(pitch), index))
        for pitch in frame:
            started.setdefault(pitch, index)
    return sorted(notes, key=lambda note: (note.start, note.pitch))


def voices_of(notes: Sequence[HeldNote], frames: Sequence[Frame]) -> list[Voice]:
    """Return the voice of each of `notes`, the held notes of `frames`.

    A note is melody if it is the highest that sounds during at least half its length, otherwise
    bass if it is the lowest that long, otherwise inner. A single line is all melody.
    """
    return [_voice(note, frames[note.start : note.end]) for note in notes]


def _voice(note: HeldNote, frames: Sequence[Frame]) -> Voice:
    for voice, end in ((Voice.MELODY, -1), (Voice.BASS, 0)):
        if 2 * sum(frame[end] == note.pitch for frame in frames) >= len(frames):
            return voice
    return Voice.INNER


def checked_tempo(tempo: float | None, frames_per_second: float) -> float:
    """Return the beats a minute that a song is written in.

    Without a tempo a beat is a power of two of frames such that there are from 70 up to, not
    including, 140 of them a minute: a frame of a fifth of a second is a sixteenth at 75.

    Raises:
        MusicError: the tempo is not 4 to 1,000, or the speed not above 0 and below 1,000.
    """
    if not 0 < frames_per_second < FASTEST_FRAMES:
        raise MusicError(
            f"frames per second are above 0 and below {FASTEST_FRAMES}, not {frames_per_second}"
        )
    if tempo is None:
        return float(70 * 2 ** (math.log2(60 * frames_per_second / 70) % 1))
    if not SLOWEST_TEMPO <= tempo <= FASTEST_TEMPO:
        raise MusicError(
            f"a tempo is {SLOWEST_TEMPO} to {FASTEST_TEMPO} beats a minute, not {tempo}"
        )
    return tempo


def checked_programs(program: ByVoice) -> tuple[int, ...]:
    """Return the General MIDI programs, one to three, each 0..127.

    Raises:
        MusicError: there are more or none, or one is out of range.
    """
    return _checked(program, 0, "General MIDI program")


def checked_velocities(velocity: ByVoice) -> tuple[int, ...]:
    """Return the velocities, one to three, each 1..127.

    Raises:
        MusicError: there are more or none, or one is out of range.
    """
    return _checked(velocity, 1, "velocity")


def _checked(value: ByVoice, lowest: int, name: str) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int) else tuple(value)
    if not 1 <= len(values) <= len(Voice):
        raise MusicError(f"give one {name}, or two or three by voice, not {len(values)}")
    for each in values:
        if not lowest <= each < 128:
            raise MusicError(f"a {name} is {lowest} to 127, not {each}")
    return values


def share(values: Sequence[int], voice: Voice) -> int:
    """Return a voice's share of one to three values: the last is that of all further voices."""
    return values[min(voice, len(values) - 1)]


def to_pretty_midi(
    frames: Sequence[Frame],
    frames_per_second: float,
    program: ByVoice = 0,
    velocity: ByVoice = DEFAULT_VELOCITY,
    tempo: float | None = None,
) -> pretty_midi.PrettyMIDI:
    """Return `frames` as a pretty_midi song.

    Read back with ``get_piano_roll(fs=frames_per_second)``, the song gives the same frames, rests
    at either end included: each instrument ends with the controller "all notes off" at the end of
    the last frame. (Of a song that is nothing but rests, pretty_midi reads no column at all.)

    Args:
        frames: what sounds in each frame.
        frames_per_second: how long a frame lasts: ``1 / frames_per_second`` seconds.
        program: General MIDI program, 0..127; 0 is the acoustic grand piano. Two programs are the
            melody's and that of all else, three those of melody, inner voices and bass: each is an
            instrument of its own.
        velocity: of every note, 1..127; two or three are shared out as programs are.
        tempo: beats a minute; it moves bar lines, not notes. None for :func:`checked_tempo`'s own.

    Raises:
        MusicError: program, velocity, speed or tempo is out of range.
    """
    import pretty_midi

    programs, velocities = checked_programs(program), checked_velocities(velocity)
    clock = _Clock.choose(len(frames), frames_per_second, tempo)
    song = pretty_midi.PrettyMIDI(
        resolution=clock.ticks_per_beat, initial_tempo=60 / clock.seconds_per_beat
    )
    names = PART_NAMES[len(programs)]
    parts = [
        pretty_midi.Instrument(each, name=name) for each, name in zip(programs, names, strict=True)
    ]
    notes = notes_from_frames(frames)
    for note, voice in zip(notes, voices_of(notes, frames), strict=True):
        parts[min(voice, len(parts) - 1)].notes.append(
            pretty_midi.Note(
                velocity=share(velocities, voice),
                pitch=note.pitch,
                start=clock.seconds(note.start),
                end=clock.seconds(note.end),
            )
        )
    song.instruments = [each for each in parts if each.notes] or parts[:1]
    for each in song.instruments:
        end = pretty_midi.ControlChange(_ALL_NOTES_OFF, 0, clock.seconds(len(frames)))
        each.control_changes.append(end)
    return song


def write_midi(
    frames: Sequence[Frame],
    path: Path,
    frames_per_second: float,
    program: ByVoice = 0,
    velocity: ByVoice = DEFAULT_VELOCITY,
    tempo: float | None = None,
) -> None:
    """Write `frames` to a MIDI file; the arguments are those of :func:`to_pretty_midi`."""
    to_pretty_midi(frames, frames_per_second, program, velocity, tempo).write(str(path))


class _Clock(NamedTuple):
    """Where frames lie in a MIDI file, whose time is whole ticks of whole microseconds a beat."""

    frames_per_second: float
    ticks_per_beat: int
    microseconds_per_beat: int

    @classmethod
    def choose(cls, frames: int, frames_per_second: float, tempo: float | None) -> _Clock:
        """Return the clock for so many frames at a speed and in a tempo.

        Raises:
            MusicError: MIDI cannot hold them.
        """
        tempo = checked_tempo(tempo, frames_per_second)
        beats_per_frame = tempo / 60 / frames_per_second
        # Ticks as in most MIDI files, more where a frame is a small part of a beat.
        finer = math.ceil(_LEAST_TICKS_PER_FRAME / (TICKS_PER_BEAT * beats_per_frame))
        ticks = TICKS_PER_BEAT * max(finer, 1)
        if frames * beats_per_frame * ticks > _MOST_TICKS:
            ticks = int(_MOST_TICKS / (frames * beats_per_frame))
        if not 2 / beats_per_frame <= ticks <= _MOST_TICKS_PER_BEAT:
            raise MusicError(
                f"{frames} frames at {frames_per_second:g} a second and {tempo:g} beats a minute "
                "cannot be written as MIDI: choose another tempo"
            )
        # A microsecond more than the tempo asks for: a frame's tick is then that of the bar grid,
        # and lies a hair after the frame's start, where truncation finds the frame.
        return cls(frames_per_second, ticks, math.floor(60e6 / tempo) + 1)

    @property
    def seconds_per_beat(self) -> float:
        """A little more than the whole microseconds, which pretty_midi truncates to them."""
        return (self.microseconds_per_beat + 0.01) * 1e-6

    def seconds(self, frame: int) -> float:
        """Return the time of the first tick that is not before the start of a frame.

        ``get_piano_roll`` truncates times to frames, so that a time just under a frame's start
        would fall into the frame before. A part in a billion of room keeps rounding from that.
        """
        ticks_per_second = self.ticks_per_beat * 1e6 / self.microseconds_per_beat
        tick = math.ceil(frame / self.frames_per_second * ticks_per_second * (1 + 1e-9))
        return tick * self.seconds_per_beat / self.ticks_per_beat
