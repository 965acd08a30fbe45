"""What a song begins from: silence, a note, a chord, random tokens, a MIDI file or frames.

A start becomes the window that the model is first asked about, and the frames of it that belong to
the song.
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

# A primer of which the model's own track choice finds no music is read with all its instruments.
_NOT_ON_THIS_TRACK = ("no such track", "drum track", "no notes")


@dataclass(frozen=True)
class Start:
    """At most one kind of start; with none, a song begins from silence.

    Args:
        note: 49 rests and this pitch (0..127) alone, for a window of 50: the paper's second start.
            The note is the song's first frame.
        chord: the same with several pitches that sound together, in any order.
        random: as many random tokens as the window holds: the paper's first start. They are not
            part of the song.
        primer: a MIDI file that the song continues. It is read with the model's own track choice
            and frames per second (with all instruments where that track is not in it), its last
            frames fill the window, and frames that the model does not know become the nearest
            ones. The primer is not part of the song.
        frames: frames that the song continues, each known to the model; not part of the song.

    Raises:
        BadStart: two kinds are given, or a chord of no pitches.
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
            raise BadStart(f"a song has one start: choose {' or '.join(given)}")
        if self.chord is not None and not self.chord:
            raise BadStart("a chord has pitches: without any, a song begins from silence")

    @property
    def song_frames(self) -> tuple[Frame, ...]:
        """The frames of the start that belong to the song: the start note or chord, or none."""
        if self.chord is not None:
            return (_frame(self.chord),)
        return () if self.note is None else ((self.note,),)

    def windows(
        self, model: ServedModel, streams: Sequence[np.random.Generator]
    ) -> NDArray[np.int64]:
        """Return the first window of each song, int64 [n, window], oldest token first.

        Short starts are padded with rests at the front, as the model's training windows are.

        Args:
            model: what the window is for.
            streams: the random stream of each song; a random start draws from it.

        Raises:
            UnknownStart: the note or a frame is not in the model's vocabulary.
            BadStart: the primer cannot be used.
        """
        if self.random:
            size = len(model.vocabulary)
            return np.stack([stream.integers(size, size=model.window) for stream in streams])
        if self.primer is not None:
            heard = model.vocabulary.encode(_read_primer(Path(self.primer), model))
        else:
            heard = known_tokens(model, self.song_frames if self.frames is None else self.frames)
        return np.tile(padded(heard, model.window), (len(streams), 1))


def known_tokens(model: ServedModel, frames: Sequence[Frame]) -> NDArray[np.int64]:
    """Return the tokens of consecutive frames that the model knows, int64 [n].

    A model of struck frames takes plain ones, too: a pitch is struck where it begins.

    Raises:
        UnknownStart: it does not know one; the message names near ones.
    """
    try:
        return model.vocabulary.tokens([_frame(frame) for frame in frames])
    except UnknownFrame as error:
        raise UnknownStart(str(error)) from error


def padded(tokens: NDArray[np.int64], window: int) -> NDArray[np.int64]:
    """Return the last `window` of `tokens`, int64 [window], after rests where they are fewer."""
    result = np.zeros(window, dtype=np.int64)
    heard = tokens[-window:]
    result[window - len(heard) :] = heard
    return result


def _frame(pitches: Sequence[int]) -> Frame:
    return pitches if isinstance(pitches, StruckFrame) else tuple(sorted(set(pitches)))


def _read_primer(path: Path, model: ServedModel) -> list[Frame]:
    """Return the frames of a MIDI file on the model's own track and grid."""
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
        raise BadStart(f"the primer {path} cannot be used: {error}") from error
