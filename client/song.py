"""A song: frames, how fast they go, and where they came from."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.client.files import write_atomically
from tunesmith.client.pitches import pitch_name
from tunesmith.music import DEFAULT_VELOCITY, Frame, notes_from_frames, to_pretty_midi
from tunesmith.music.notation import HeldNote

if TYPE_CHECKING:
    import pretty_midi


@dataclass(frozen=True)
class Song:
    """What a composer composed.

    Args:
        frames: the pitches that sound in each frame; the empty tuple is a rest.
        frames_per_second: how long a frame lasts: ``1 / frames_per_second`` seconds.
        program: General MIDI program 0..127 to play it with.
        model: the name of the model that composed it, if one did.
        model_version: the version of that model.
        seed: the seed it was drawn with; the same seed on the same version gives it again.
        index: which of the songs drawn together with that seed it is.
    """

    frames: tuple[Frame, ...]
    frames_per_second: float
    program: int = 0
    model: str | None = None
    model_version: int | None = None
    seed: int | None = None
    index: int = 0

    @property
    def duration(self) -> float:
        """Length in seconds, rests included."""
        return len(self.frames) / self.frames_per_second

    @cached_property
    def notes(self) -> tuple[HeldNote, ...]:
        """The held notes by start, then pitch; start and end are counted in frames."""
        return tuple(notes_from_frames(self.frames))

    @property
    def pitch_range(self) -> tuple[int, int] | None:
        """The lowest and the highest MIDI pitch; None if nothing sounds."""
        pitches = [note.pitch for note in self.notes]
        return (min(pitches), max(pitches)) if pitches else None

    def summary(self) -> str:
        """Return one line: ``142 notes, C4 to B5, 60.0 s``."""
        length = f"{self.duration:.1f} s"
        if self.pitch_range is None:
            return f"no notes, {length}"
        low, high = map(pitch_name, self.pitch_range)
        reach = low if low == high else f"{low} to {high}"
        return f"{len(self.notes)} note{'s' * (len(self.notes) > 1)}, {reach}, {length}"

    def to_pretty_midi(self, velocity: int = DEFAULT_VELOCITY) -> pretty_midi.PrettyMIDI:
        """Return the song as pretty_midi's object, one instrument.

        Raises:
            MusicError: the velocity is not 1..127, or the song's program or speed is out of range.
        """
        return to_pretty_midi(self.frames, self.frames_per_second, self.program, velocity)

    def write(self, path: str | Path, velocity: int = DEFAULT_VELOCITY) -> None:
        """Write the song as a MIDI file, whole or not at all.

        Raises:
            CannotWrite: the folder is missing or not writable.
            MusicError: as :meth:`to_pretty_midi`.
        """
        content = io.BytesIO()
        self.to_pretty_midi(velocity).write(content)
        write_atomically(path, content.getvalue())

    def picture(self) -> bytes:
        """Return the song's piano roll as PNG."""
        from tunesmith.client.picture import draw_piano_roll

        content = io.BytesIO()
        draw_piano_roll(self.frames, self.frames_per_second, self.summary()).save(
            content, format="PNG", optimize=True
        )
        return content.getvalue()

    def write_picture(self, path: str | Path) -> None:
        """Write the song's piano roll as a PNG file, whole or not at all.

        Raises:
            CannotWrite: the folder is missing or not writable.
        """
        write_atomically(path, self.picture())

    def sound(self) -> bytes:
        """Return the song as WAV, 16 bits, 44.1 kHz, one channel, played by its program."""
        from tunesmith.client.sound import wav_bytes

        return wav_bytes(self.frames, self.frames_per_second, self.program)

    def write_sound(self, path: str | Path) -> None:
        """Write the song as a WAV file, whole or not at all.

        Raises:
            CannotWrite: the folder is missing or not writable.
        """
        write_atomically(path, self.sound())
