"""The part of Transform that concerns one song, without Beam."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tunesmith.components.records.songs import SongFrames
from tunesmith.components.transform.component import TransformParameters
from tunesmith.music import CorpusSettings


@dataclass(frozen=True)
class TokenSettings:
    """How songs become tokens: the parameters of Transform, and how the songs were read.

    Args:
        corpus: track and grid of the songs, the shifts that training songs are copied to, and the
            encoding.
        maximum_frames: see the parameters.
        minimum_count: see the parameters.
    """

    corpus: CorpusSettings
    maximum_frames: int
    minimum_count: int

    @classmethod
    def of(cls, parameters: TransformParameters, corpus: CorpusSettings) -> TokenSettings:
        """Join the parameters of Transform with how its songs were read."""
        return cls(
            replace(corpus, transpose=parameters.transpose, encoding=parameters.encoding),
            parameters.maximum_frames,
            parameters.minimum_count,
        )


def transposed(song: SongFrames, corpus: CorpusSettings) -> Iterator[SongFrames]:
    """Yield a training song in every key that it is learned in, its own included."""
    low, high = corpus.transpose
    if low == high:
        yield song
        return
    bits = np.unpackbits(song.distinct, axis=1)
    sounding = np.flatnonzero(bits.any(axis=0))
    grid = corpus.grid
    for shift in range(low, high + 1):
        if grid.lowest <= sounding[0] + shift and sounding[-1] + shift <= grid.highest:
            song_id = song.song_id + b"@%+d" % shift if shift else song.song_id
            shifted = np.packbits(np.roll(bits, shift, axis=1), axis=1)
            yield song._replace(song_id=song_id, distinct=shifted)
