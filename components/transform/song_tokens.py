"""What Transform is told, and what it does to one song, without Beam."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from tunesmith.components.records.songs import SongFrames
from tunesmith.music import CorpusSettings, Grid, TrackChoice

DEFAULT_MAXIMUM_FRAMES = 1000
"""Sounding frames kept. It leaves the paper's corpus (277) whole and bounds a chordal one."""


@dataclass(frozen=True)
class TransformParameters:
    """What Transform is told.

    Args:
        track: the track choice that the sequences were read with.
        grid: the grid that they were read on.
        transpose: the training songs are learned shifted by every number of semitones from the
            first to the last of these; a shift that would take a song out of the grid's pitch range
            is left out.
        maximum_frames: sounding frames in the vocabulary at most.
        minimum_count: frames of the training split that occur less often are left out.
    """

    track: str = "first"
    grid: Grid = field(default_factory=Grid)
    transpose: tuple[int, int] = (0, 0)
    maximum_frames: int = DEFAULT_MAXIMUM_FRAMES
    minimum_count: int = 1

    def __post_init__(self) -> None:
        _ = self.corpus
        for name in ("maximum_frames", "minimum_count"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name.replace('_', ' ')} must be at least 1")

    @property
    def keys(self) -> int:
        """In how many keys the training songs are learned at most."""
        return 1 + self.transpose[1] - self.transpose[0]

    @property
    def corpus(self) -> CorpusSettings:
        """What the vocabulary and the model say of how the songs were read."""
        return CorpusSettings(TrackChoice.parse(self.track), self.grid, self.transpose)


def transposed(song: SongFrames, parameters: TransformParameters) -> Iterator[SongFrames]:
    """Yield a training song in every key that it is learned in, its own included."""
    low, high = parameters.transpose
    if low == high:
        yield song
        return
    bits = np.unpackbits(song.distinct, axis=1)
    sounding = np.flatnonzero(bits.any(axis=0))
    grid = parameters.grid
    for shift in range(low, high + 1):
        if grid.lowest <= sounding[0] + shift and sounding[-1] + shift <= grid.highest:
            song_id = song.song_id + b"@%+d" % shift if shift else song.song_id
            shifted = np.packbits(np.roll(bits, shift, axis=1), axis=1)
            yield song._replace(song_id=song_id, distinct=shifted)
