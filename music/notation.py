"""Frames to notes, voices and a MIDI file.

Consecutive frames with the same pitch are one held note. A plain frame contains the sounding
pitches, not the struck ones, so a repeated note looks like a held one; struck frames
(:mod:`tunesmith.music.struck`) distinguish them. Frames do not record instruments. So voices are
derived from the notes: the highest is the melody, the lowest the bass, the others inner voices.
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
"""The velocity of all notes in the paper's program."""

BEATS_PER_BAR = 4
"""Beats per bar of a MIDI file without a time signature."""

SLOWEST_TEMPO, FASTEST_TEMPO = 4, 1000
"""Beats per minute. MIDI stores microseconds per beat in 24 bits, so the minimum is 3.6."""

FASTEST_FRAMES = 1000
"""Upper bound of frames per second, as in :class:`tunesmith.music.Grid`."""

TICKS_PER_BEAT = 480

_MOST_TICKS_PER_BEAT = 32_767
_LEAST_TICKS_PER_FRAME = 8
# pretty_midi refuses files of more than ten million ticks.
_MOST_TICKS = 9_900_000
_ALL_NOTES_OFF = 123

PART_NAMES = {
    1: ("",),
    2: ("melody", "accompaniment"),
    3: ("melody", "inner voices", "bass"),
}
"""The names of the parts of a written song, by how many there are."""


class HeldNote(NamedTuple):
    """A note: a pitch that sounds from frame `start` up to, but not including, frame `end`."""

    pitch: int
    start: int
    end: int


class Voice(IntEnum):
    """Voice of a held note."""

    MELODY = 0
    INNER = 1
    BASS = 2


ByVoice = int | Sequence[int]
"""One value for all voices; two for melody and accompaniment; or three for melody, inner voices and
bass."""


def notes_from_frames(frames: Sequence[Frame]) -> list[HeldNote]:
    """Return the held notes of `frames`, ordered by start, then pitch.

    A note starts in a frame if its pitch does not sound in the frame before, or if it is struck.
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

    A note belongs to the melody if it is the highest pitch for at least half its length; else to
    the bass if it is the lowest for at least half its length; else to the inner voices. Music of
    single notes is all melody.
    """
    return [_voice(note, frames[note.start : note.end]) for note in notes]


def _voice(note: HeldNote, frames: Sequence[Frame]) -> Voice:
    for voice, end in ((Voice.MELODY, -1), (Voice.BASS, 0)):
        if 2 * sum(frame[end] == note.pitch for frame in frames) >= len(frames):
            return voice
    return Voice.INNER


def checked_tempo(tempo: float | None, frames_per_second: float) -> float:
    """Return the tempo of a song in beats per minute.

    If `tempo` is None, a beat is the power of two of frames that gives at least 70 and less than
    140 beats per minute. At 5 frames per second a frame is then a sixteenth note at 75.

    Raises:
        MusicError: `tempo` is not within 4 to 1,000, or `frames_per_second` is not above 0 and
            below 1,000.
    """
    if not 0 < frames_per_second < FASTEST_FRAMES:
        raise MusicError(
            f"frames per second must be above 0 and below {FASTEST_FRAMES}, not {frames_per_second}"
        )
    if tempo is None:
        return float(70 * 2 ** (math.log2(60 * frames_per_second / 70) % 1))
    if not SLOWEST_TEMPO <= tempo <= FASTEST_TEMPO:
        raise MusicError(
            f"tempo must be {SLOWEST_TEMPO} to {FASTEST_TEMPO} beats per minute, not {tempo}"
        )
    return tempo


def checked_programs(program: ByVoice) -> tuple[int, ...]:
    """Return one to three General MIDI programs, each 0..127, as a tuple.

    Raises:
        MusicError: not one to three values, or a value is out of range.
    """
    return _checked(program, 0, "General MIDI program")


def checked_velocities(velocity: ByVoice) -> tuple[int, ...]:
    """Return one to three velocities, each 1..127, as a tuple.

    Raises:
        MusicError: not one to three values, or a value is out of range.
    """
    return _checked(velocity, 1, "velocity")


def _checked(value: ByVoice, lowest: int, name: str) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int) else tuple(value)
    if not 1 <= len(values) <= len(Voice):
        raise MusicError(
            f"give one {name} for all voices, two (melody, accompaniment) or three (melody, inner "
            f"voices, bass): {len(values)} given"
        )
    for each in values:
        if not lowest <= each < 128:
            raise MusicError(f"a {name} must be {lowest} to 127, not {each}")
    return values


def share(values: Sequence[int], voice: Voice) -> int:
    """Return the value of a voice among one to three values; the last one is for all others."""
    return values[min(voice, len(values) - 1)]


def to_pretty_midi(
    frames: Sequence[Frame],
    frames_per_second: float,
    program: ByVoice = 0,
    velocity: ByVoice = DEFAULT_VELOCITY,
    tempo: float | None = None,
) -> pretty_midi.PrettyMIDI:
    """Return `frames` as a pretty_midi song.

    ``get_piano_roll(fs=frames_per_second)`` of the song gives the same frames, including rests at
    the start and the end: each instrument ends with an "all notes off" controller at the end of the
    last frame. (For a song of rests only, pretty_midi returns no columns.)

    Args:
        frames: frames of the song.
        frames_per_second: a frame lasts ``1 / frames_per_second`` seconds.
        program: General MIDI program, 0..127; 0 is the acoustic grand piano. Two programs are for
            melody and accompaniment, three for melody, inner voices and bass; each becomes an
            instrument.
        velocity: velocity of all notes, 1..127; or two or three by voice, as for `program`.
        tempo: beats per minute; it changes the bar lines, not the times of notes. None uses the
            default of :func:`checked_tempo`.

    Raises:
        MusicError: program, velocity, frames per second or tempo is out of range.
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
    """Times of frames in a MIDI file, in ticks of an integer number of microseconds per beat."""

    frames_per_second: float
    ticks_per_beat: int
    microseconds_per_beat: int

    @classmethod
    def choose(cls, frames: int, frames_per_second: float, tempo: float | None) -> _Clock:
        """Return the clock for a number of frames, their frames per second and a tempo.

        Raises:
            MusicError: MIDI cannot represent these times.
        """
        tempo = checked_tempo(tempo, frames_per_second)
        beats_per_frame = tempo / 60 / frames_per_second
        # 480 ticks per beat as in most MIDI files; more if a frame is a small part of a beat.
        finer = math.ceil(_LEAST_TICKS_PER_FRAME / (TICKS_PER_BEAT * beats_per_frame))
        ticks = TICKS_PER_BEAT * max(finer, 1)
        if frames * beats_per_frame * ticks > _MOST_TICKS:
            ticks = int(_MOST_TICKS / (frames * beats_per_frame))
        if not 2 / beats_per_frame <= ticks <= _MOST_TICKS_PER_BEAT:
            raise MusicError(
                f"{frames} frames at {frames_per_second:g} per second and {tempo:g} beats per "
                "minute cannot be written as MIDI: choose another tempo"
            )
        # One microsecond more than the tempo: the tick of a frame is then on the bar grid and just
        # after the start of the frame, so that truncation gives this frame.
        return cls(frames_per_second, ticks, math.floor(60e6 / tempo) + 1)

    @property
    def seconds_per_beat(self) -> float:
        """Seconds per beat, slightly above whole microseconds, to which pretty_midi truncates."""
        return (self.microseconds_per_beat + 0.01) * 1e-6

    def seconds(self, frame: int) -> float:
        """Return the time of the first tick at or after the start of a frame.

        ``get_piano_roll`` truncates times to frames, so a time just before the start of a frame
        would fall into the previous frame. A relative margin of 1e-9 prevents that rounding error.
        """
        ticks_per_second = self.ticks_per_beat * 1e6 / self.microseconds_per_beat
        tick = math.ceil(frame / self.frames_per_second * ticks_per_second * (1 + 1e-9))
        return tick * self.seconds_per_beat / self.ticks_per_beat
