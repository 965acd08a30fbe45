"""A song: its frames, their speed, their origin, and the files that it can be written to."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypedDict, Unpack

from tunesmith.client.errors import BadOption
from tunesmith.client.files import write_atomically
from tunesmith.client.libraries import PILLOW
from tunesmith.client.pitches import pitch_name
from tunesmith.client.sampling import Sampling
from tunesmith.music import (
    DEFAULT_VELOCITY,
    Frame,
    Grid,
    MusicError,
    TrackChoice,
    notes_from_frames,
    to_pretty_midi,
)
from tunesmith.music.degeneration import Degeneration, SongLimits, find_degeneration
from tunesmith.music.grid import DEFAULT_FRAMES_PER_SECOND
from tunesmith.music.notation import (
    ByVoice,
    HeldNote,
    checked_programs,
    checked_tempo,
    checked_velocities,
)

if TYPE_CHECKING:
    import pretty_midi

    from tunesmith.client.formats.format import Format


class Playing(TypedDict, total=False):
    """How a song is played, in place of its own values; every method that writes one takes them.

    Attributes:
        program: General MIDI program 0..127; or two, for the melody and for all else; or three, for
            the melody, the inner voices and the bass, each a track of its own.
        velocity: of every note, 1..127; or two or three by voice.
        tempo: beats per minute, 4 to 1,000; it places the bar lines and moves no note.
        frames_per_second: the song's speed.
    """

    program: ByVoice
    velocity: ByVoice
    tempo: float | None
    frames_per_second: float


@dataclass(frozen=True)
class Song:
    """A composed song.

    Every method that writes it takes :class:`Playing`'s arguments, which replace the song's own
    values.

    Args:
        frames: the pitches that sound in each frame; the empty tuple is a rest. A
            :class:`tunesmith.music.StruckFrame` also says which of them begin there; in a plain
            frame those begin that do not sound in the frame before.
        frames_per_second: a frame lasts ``1 / frames_per_second`` seconds.
        program: General MIDI program 0..127 to play it with, or two or three by voice.
        model: the name of the model that composed it; None if no model did.
        model_version: the version of that model.
        seed: the random seed; the same seed on the same version gives the same song.
        index: the song's number among those composed together with that seed, from 0.
        context: the frames before the song's first, at most the model's window; they are not part
            of the song, but needed to continue it.
        tempo: beats per minute, which place bar lines and move no note; None for a beat of a power
            of two of frames, such that there are from 70 up to 140 of them a minute.
        velocity: 1..127 of every note, or two or three by voice.
        sampling: how its frames were drawn, the last of them if it was extended; None if that is
            unknown, or if filters of one's own were used.
        limits: beyond these a song of its model is degenerate; None if the model has none.
        given_frames: how many of its first frames are the start note or chord, not composed.
    """

    frames: tuple[Frame, ...]
    frames_per_second: float
    program: ByVoice = 0
    model: str | None = None
    model_version: int | None = None
    seed: int | None = None
    index: int = 0
    tempo: float | None = None
    velocity: ByVoice = DEFAULT_VELOCITY
    context: tuple[Frame, ...] = ()
    sampling: Sampling | None = field(default=None, compare=False)
    limits: SongLimits | None = field(default=None, compare=False)
    given_frames: int = field(default=0, compare=False)

    @classmethod
    def read(
        cls,
        path: str | Path,
        frames_per_second: float = DEFAULT_FRAMES_PER_SECOND,
        track: str = "all",
        program: int = 0,
    ) -> Self:
        """Read a MIDI file, from its first sounding frame to its last, as struck frames.

        Args:
            path: the file.
            frames_per_second: of the grid that its notes are laid on; a note shorter than a frame
                may vanish.
            track: a track choice: ``all`` but drums, ``first``, ``name:PIANO``, ``program:0``.
            program: General MIDI program 0..127 that the song is to have.

        Raises:
            BadOption: the file cannot be used, or an argument is out of range.
        """
        from tunesmith.music import read_song

        try:
            grid = Grid(frames_per_second, keep_onsets=True)
            reading = read_song(Path(path), TrackChoice.parse(track), grid)
        except MusicError as error:
            raise BadOption(f"{path} cannot be read as a song: {error}") from error
        return cls(tuple(reading.frames), frames_per_second, program)

    @property
    def duration(self) -> float:
        """Length in seconds, rests included."""
        return len(self.frames) / self.frames_per_second

    @cached_property
    def notes(self) -> tuple[HeldNote, ...]:
        """The held notes by start, then pitch; start and end are counted in frames."""
        return tuple(notes_from_frames(self.frames))

    @property
    def degeneration(self) -> Degeneration | None:
        """Why it is degenerate: silent, or beyond its model's limits of rests or of repetition.

        None if it is not. A song of a model without limits can be silent only.
        """
        return find_degeneration(self.frames, self.limits)

    @property
    def degenerate(self) -> str | None:
        """:attr:`degeneration` as half a sentence, ``is silent: all 300 frames are rests``."""
        found = self.degeneration
        return None if found is None else found.text

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

    def origin(self) -> str:
        """Return model, version, seed and sampling: ``tunesmith, version 3, seed 7``."""
        facts = [self.model] if self.model is not None else []
        if self.model_version is not None:
            facts.append(f"version {self.model_version}")
        if self.seed is not None:
            facts.append(f"seed {self.seed}" + f", song {self.index + 1}" * (self.index > 0))
        if self.sampling is not None:
            facts += self.sampling.facts()
        return ", ".join(facts)

    def played(self, **playing: Unpack[Playing]) -> Self:
        """Return the song with other values for how it is played.

        Raises:
            BadOption: a value is out of range.
        """
        song = replace(self, **playing)
        try:
            program, velocity = checked_programs(song.program), checked_velocities(song.velocity)
            checked_tempo(song.tempo, song.frames_per_second)
        except MusicError as error:
            raise BadOption(str(error)) from error
        # Lists become tuples, so that a song can still be hashed and compared.
        return replace(
            song,
            program=song.program if isinstance(song.program, int) else program,
            velocity=song.velocity if isinstance(song.velocity, int) else velocity,
        )

    def to_pretty_midi(self, **playing: Unpack[Playing]) -> pretty_midi.PrettyMIDI:
        """Return the song as pretty_midi's object.

        Its ``get_piano_roll(fs=frames_per_second)`` has the song's frames, one column each.

        Raises:
            BadOption: a value is out of range.
        """
        song = self.played(**playing)
        try:
            return to_pretty_midi(
                song.frames, song.frames_per_second, song.program, song.velocity, song.tempo
            )
        except MusicError as error:
            raise BadOption(str(error)) from error

    def save(
        self, path: str | Path, *, format: Format | None = None, **playing: Unpack[Playing]
    ) -> None:
        """Write the song in the format that the suffix names, completely or not at all.

        The suffixes are .mid, .midi, .png, .wav, .html, .json, .musicxml and those of installed
        plug-ins (:mod:`tunesmith.client.formats`).

        Args:
            path: the file.
            format: a format to write in, whatever the suffix is; such as one of one's own.
            playing: how the song is played, where that differs from the song.

        Raises:
            UnknownFormat: no format has the suffix.
            MissingLibrary: the format needs a library that is not installed.
            CannotWrite: the folder is missing or not writable.
            BadOption: a value is out of range.
        """
        from tunesmith.client.formats.registry import format_of

        found = format_of(path) if format is None else format
        content = io.BytesIO()
        try:
            found.write(self.played(**playing), content)
        except MusicError as error:
            raise BadOption(str(error)) from error
        write_atomically(path, content.getvalue())

    def write(self, path: str | Path, **playing: Unpack[Playing]) -> None:
        """Write the song as a MIDI file, whatever its suffix, completely or not at all.

        Raises:
            CannotWrite: the folder is missing or not writable.
            BadOption: a value is out of range.
        """
        from tunesmith.client.formats.midi import FORMAT

        self.save(path, format=FORMAT, **playing)

    def picture(
        self, *, title: str | None = None, scale: int = 1, **playing: Unpack[Playing]
    ) -> bytes:
        """Return the song's piano roll as PNG.

        Args:
            title: the line above it; the summary if None.
            scale: 2 is twice as large, for high-resolution screens and for print; 1 to 4.
            playing: tempo and speed place the bars and the seconds.

        Raises:
            MissingLibrary: Pillow is not installed.
            BadOption: a value is out of range.
        """
        from tunesmith.client.formats.png import write_piano_roll

        content = io.BytesIO()
        write_piano_roll(self.played(**playing), content, title=title, scale=scale)
        return content.getvalue()

    def _repr_png_(self) -> bytes | None:
        """Show the piano roll in a notebook (IPython's rich display); nothing without Pillow."""
        return self.picture() if PILLOW.installed else None

    def write_picture(
        self,
        path: str | Path,
        *,
        title: str | None = None,
        scale: int = 1,
        **playing: Unpack[Playing],
    ) -> None:
        """Write :meth:`picture` to a PNG file, completely or not at all.

        Raises:
            MissingLibrary: Pillow is not installed.
            CannotWrite: the folder is missing or not writable.
            BadOption: a value is out of range.
        """
        write_atomically(path, self.picture(title=title, scale=scale, **playing))

    def sound(self, **playing: Unpack[Playing]) -> bytes:
        """Return the song as WAV, 16 bits, 44.1 kHz, one channel, played by its programs.

        Raises:
            BadOption: a value is out of range.
        """
        from tunesmith.client.formats.wav import wav_bytes

        song = self.played(**playing)
        return wav_bytes(song.frames, song.frames_per_second, song.program, song.velocity)

    def write_sound(self, path: str | Path, **playing: Unpack[Playing]) -> None:
        """Write :meth:`sound` to a WAV file, completely or not at all.

        Raises:
            CannotWrite: the folder is missing or not writable.
            BadOption: a value is out of range.
        """
        write_atomically(path, self.sound(**playing))

    def player(self, *, title: str | None = None, **playing: Unpack[Playing]) -> str:
        """Return a page of HTML that plays the song: notes that fall onto a keyboard.

        The page is one file that loads nothing else.

        Args:
            title: its heading; the summary if None.
            playing: velocity and speed are heard; programs are not: the page has a piano.

        Raises:
            BadOption: a value is out of range.
        """
        from tunesmith.client.formats.html import song_page

        return song_page(self.played(**playing), title)

    def write_player(
        self, path: str | Path, *, title: str | None = None, **playing: Unpack[Playing]
    ) -> None:
        """Write :meth:`player` to an HTML file, completely or not at all.

        Raises:
            CannotWrite: the folder is missing or not writable.
            BadOption: a value is out of range.
        """
        write_atomically(path, self.player(title=title, **playing).encode())

    def headlines(self, title: str | None = None) -> tuple[str, str]:
        """Return the title of a picture or a page, the summary if None, and the line below it."""
        beats = checked_tempo(self.tempo, self.frames_per_second)
        facts = [
            self.summary() if title is not None else "",
            f"{beats:.4g} beats a minute",
            f"{self.frames_per_second:.4g} frames a second",
            self.origin(),
        ]
        return self.summary() if title is None else title, ", ".join(filter(None, facts))
