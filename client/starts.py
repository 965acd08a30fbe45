"""Starts of songs: silence, a note, a chord, random tokens, a MIDI file (primer) or frames.

A start determines the first window, and which of its frames belong to the song.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tunesmith.client.errors import BadStart, UnknownStart
from tunesmith.client.model import ServedModel
from tunesmith.music import Frame, StruckFrame, TrackChoice, UnknownFrame, UnusableFile

# If the model's track choice finds no notes in a primer, all its instruments are read.
_NOT_ON_THIS_TRACK = ("no such track", "drum track", "no notes")


@dataclass(frozen=True)
class Start:
    """The start of a song: at most one of the arguments; without any, the song begins from silence.

    Args:
        note: a pitch (0..127) after rests: the paper's second start. It is the first frame of the
            song.
        chord: several pitches that sound together, after rests. They are the first frame.
        random: a window of random tokens: the paper's first start. They are not part of the song.
        primer: path of a MIDI file that the song continues. It is read with the model's track
            choice and grid (or with all instruments, if the track choice finds no notes). Its last
            frames fill the window; frames that are not in the vocabulary are replaced by the
            nearest ones. The primer is not part of the song.
        frames: frames that the song continues; all must be in the vocabulary. They are not part of
            the song.

    Raises:
        BadStart: several arguments are given, or a chord without pitches.
    """

    note: int | None = None
    chord: Sequence[int] | None = None
    random: bool = False
    primer: str | Path | None = None
    frames: Sequence[Frame] | None = None

    def __post_init__(self) -> None:
        given = [
            name
            for name, present in (
                ("start_note", self.note is not None),
                ("start_chord", self.chord is not None),
                ("start_random", self.random),
                ("primer", self.primer is not None),
                ("start_frames", self.frames is not None),
            )
            if present
        ]
        if len(given) > 1:
            raise BadStart(f"a song has only one start: choose {' or '.join(given)}")
        if self.chord is not None and not self.chord:
            raise BadStart("start_chord is empty: give at least one pitch, or leave it out")

    @property
    def song_frames(self) -> tuple[Frame, ...]:
        """Frames of the start that belong to the song: the start note or chord, or none."""
        if self.chord is not None:
            return (_frame(self.chord),)
        return () if self.note is None else ((self.note,),)

    def windows(
        self, model: ServedModel, streams: Sequence[np.random.Generator]
    ) -> NDArray[np.int64]:
        """Return the first window of each song, int64 [n, window], oldest token first.

        Short starts are padded with rests at the front, like the training windows.

        Args:
            model: the served model.
            streams: random generator of each song, for a random start.

        Raises:
            UnknownStart: the note or a frame is not in the vocabulary.
            BadStart: the primer cannot be used.
        """
        if self.random:
            size = len(model.vocabulary)
            return np.stack([stream.integers(size, size=model.window) for stream in streams])
        if self.primer is not None:
            tokens = model.vocabulary.encode(_read_primer(Path(self.primer), model))
        else:
            tokens = known_tokens(model, self.song_frames if self.frames is None else self.frames)
        return np.tile(padded(tokens, model.window), (len(streams), 1))


def known_tokens(model: ServedModel, frames: Sequence[Frame]) -> NDArray[np.int64]:
    """Return the tokens of consecutive frames, int64 [n].

    For a model of struck frames, plain frames are converted: a pitch is struck where it starts.

    Raises:
        UnknownStart: a frame is not in the vocabulary; the message lists similar frames.
    """
    try:
        return model.vocabulary.tokens([_frame(frame) for frame in frames])
    except UnknownFrame as error:
        raise UnknownStart(str(error)) from error


def padded(tokens: NDArray[np.int64], window: int) -> NDArray[np.int64]:
    """Return the last `window` tokens, int64 [window], padded with rests at the front."""
    result = np.zeros(window, dtype=np.int64)
    tokens = tokens[-window:]
    result[window - len(tokens) :] = tokens
    return result


def _frame(pitches: Sequence[int]) -> Frame:
    return pitches if isinstance(pitches, StruckFrame) else tuple(sorted(set(pitches)))


def _read_primer(path: Path, model: ServedModel) -> list[Frame]:
    """Return the frames of a MIDI file, read with the track choice and grid of the model."""
    from tunesmith.music import read_sequence

    grid = model.settings.grid
    try:
        try:
            return read_sequence(path, model.settings.track, grid)
        except UnusableFile as error:
            if error.reason not in _NOT_ON_THIS_TRACK:
                raise
            return read_sequence(path, TrackChoice("all"), grid)
    except UnusableFile as error:
        raise BadStart(f"cannot use the primer {path}: {error}") from error
