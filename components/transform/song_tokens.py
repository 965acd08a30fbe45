"""The part of Transform that concerns one song, without Beam."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.encodings.encoding import load_encoding
from tunesmith.components.errors import ComponentError
from tunesmith.components.records.songs import SongFrames, read_frames
from tunesmith.components.transform.component import TransformParameters
from tunesmith.music import CorpusSettings
from tunesmith.music.frames import PackedFrames


@dataclass(frozen=True)
class TokenSettings:
    """Settings of the encoding: parameters of Transform, and settings of the songs.

    Args:
        corpus: track, grid, transposition and encoding of the songs.
        maximum_frames: see the parameters.
        minimum_count: see the parameters.
        known: names of the tokens of a parent model, which come first; empty without one.
    """

    corpus: CorpusSettings
    maximum_frames: int
    minimum_count: int
    known: tuple[str, ...] = ()

    @classmethod
    def of(cls, parameters: TransformParameters, corpus: CorpusSettings) -> TokenSettings:
        """Return the settings for the parameters of Transform and the settings of its songs.

        Raises:
            ComponentError: the encoding needs onsets, which the songs do not have.
        """
        keep_onsets = load_encoding(parameters.encoding).needs_onsets
        if keep_onsets and not corpus.grid.keep_onsets:
            raise ComponentError(
                f"the encoding {parameters.encoding} needs songs with onsets: execute ExampleGen "
                "with example_gen.grid.keep_onsets"
            )
        grid = replace(corpus.grid, keep_onsets=keep_onsets)
        return cls(
            replace(corpus, grid=grid, transpose=parameters.shifts, encoding=parameters.encoding),
            parameters.maximum_frames,
            parameters.minimum_count,
        )

    def read(self, record: bytes) -> SongFrames:
        """Parse the record of a song as frames, with onsets if the encoding needs them."""
        song = read_frames(record)
        return song if self.corpus.grid.keep_onsets else song.plain()


def transposed(song: SongFrames, corpus: CorpusSettings) -> Iterator[SongFrames]:
    """Yield the copies of a training song in all its keys, including its own."""
    low, high = corpus.transpose
    if low == high:
        yield song
        return
    bits = np.unpackbits(song.distinct, axis=1)
    struck = None if song.struck is None else np.unpackbits(song.struck, axis=1)
    sounding = np.flatnonzero(bits.any(axis=0))
    grid = corpus.grid
    for shift in range(low, high + 1):
        if grid.lowest <= sounding[0] + shift and sounding[-1] + shift <= grid.highest:
            song_id = song.song_id + b"@%+d" % shift if shift else song.song_id
            yield song._replace(
                song_id=song_id,
                distinct=_shifted(bits, shift),
                struck=None if struck is None else _shifted(struck, shift),
            )


def _shifted(bits: NDArray[np.uint8], shift: int) -> PackedFrames:
    return np.packbits(np.roll(bits, shift, axis=1), axis=1)
