"""From frames back to notes and a MIDI file.

Consecutive frames that hold the same pitch are one held note: a frame says which pitches sound, not
which are struck, so a repeated note and a held one are the same frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tunesmith.music.errors import MusicError
from tunesmith.music.frames import REST, Frame

if TYPE_CHECKING:
    import pretty_midi

DEFAULT_VELOCITY = 100
"""The paper's program writes every note at velocity 100."""

FRAMES_PER_BEAT = 4
"""A written beat is four frames, a frame a sixteenth: 75 beats a minute at 5 frames a second."""

TICKS_PER_BEAT = 480


class HeldNote(NamedTuple):
    """A pitch that sounds from frame `start` up to, not including, frame `end`."""

    pitch: int
    start: int
    end: int


def notes_from_frames(frames: Sequence[Frame]) -> list[HeldNote]:
    """Return the held notes of `frames`, ordered by start, then pitch."""
    notes: list[HeldNote] = []
    started: dict[int, int] = {}
    for index, frame in enumerate([*frames, REST]):
        sounding = set(frame)
        for pitch in [pitch for pitch in started if pitch not in sounding]:
            notes.append(HeldNote(pitch, started.pop(pitch), index))
        for pitch in frame:
            started.setdefault(pitch, index)
    return sorted(notes, key=lambda note: (note.start, note.pitch))


def to_pretty_midi(
    frames: Sequence[Frame],
    frames_per_second: float,
    program: int = 0,
    velocity: int = DEFAULT_VELOCITY,
) -> pretty_midi.PrettyMIDI:
    """Return `frames` as one instrument of a pretty_midi song.

    Read back with ``get_piano_roll`` at the same speed, the song gives the same frames (leading and
    trailing rests apart).

    Args:
        frames: what sounds in each frame.
        frames_per_second: how long a frame lasts: ``1 / frames_per_second`` seconds.
        program: General MIDI program, 0..127; 0 is the acoustic grand piano.
        velocity: of every note, 1..127.

    Raises:
        MusicError: program, velocity or speed is out of range.
    """
    import pretty_midi

    if not 0 <= program < 128:
        raise MusicError(f"a General MIDI program is 0 to 127, not {program}")
    if not 1 <= velocity < 128:
        raise MusicError(f"a velocity is 1 to 127, not {velocity}")
    # MIDI stores a beat as whole microseconds in 24 bits. It is rounded up, to the next one, so
    # that a frame never starts a hair too early: get_piano_roll truncates times, and a time just
    # under a frame's start would fall into the frame before.
    microseconds = math.floor(FRAMES_PER_BEAT * 1e6 / frames_per_second) + 1
    if not 0 < microseconds < 2**24:
        raise MusicError(f"{frames_per_second} frames per second cannot be written as MIDI")
    # pretty_midi truncates the microseconds it writes; the half keeps them whole.
    seconds_per_beat = (microseconds + 0.5) * 1e-6
    song = pretty_midi.PrettyMIDI(resolution=TICKS_PER_BEAT, initial_tempo=60 / seconds_per_beat)
    seconds_per_frame = seconds_per_beat / FRAMES_PER_BEAT
    instrument = pretty_midi.Instrument(program=program)
    instrument.notes = [
        pretty_midi.Note(
            velocity=velocity,
            pitch=note.pitch,
            start=note.start * seconds_per_frame,
            end=note.end * seconds_per_frame,
        )
        for note in notes_from_frames(frames)
    ]
    song.instruments.append(instrument)
    return song


def write_midi(
    frames: Sequence[Frame],
    path: Path,
    frames_per_second: float,
    program: int = 0,
    velocity: int = DEFAULT_VELOCITY,
) -> None:
    """Write `frames` to a MIDI file; the arguments are those of :func:`to_pretty_midi`."""
    to_pretty_midi(frames, frames_per_second, program, velocity).write(str(path))
