"""The paper's encoding: a token is a whole frame, the set of pitches that sound.

The vocabulary is :class:`tunesmith.music.Vocabulary`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tunesmith.components.encodings.counts import most_frequent
from tunesmith.music import CorpusSettings, Frame, Vocabulary, parse_frame
from tunesmith.music.frames import PACKED_BYTES, unpack_frames


class FramesEncoding:
    """See :class:`tunesmith.components.encodings.encoding.Encoding`."""

    needs_onsets = False

    def fit(
        self,
        counts: Mapping[bytes, int],
        frames_per_second: float,
        corpus: CorpusSettings,
        *,
        maximum_frames: int,
        minimum_count: int,
    ) -> Vocabulary:
        """Return the rest and the most frequent sounding frames."""
        return Vocabulary.from_counts(
            _by_frame(most_frequent(counts, maximum_frames)),
            frames_per_second,
            maximum_frames,
            minimum_count,
            corpus,
        )

    def from_names(
        self, names: Sequence[str], frames_per_second: float, corpus: CorpusSettings
    ) -> Vocabulary:
        """Return the vocabulary of the frames with these names.

        Raises:
            MusicError: a name is not a frame's, or the frames do not start with the rest.
        """
        return Vocabulary(tuple(map(parse_frame, names)), frames_per_second, corpus)


ENCODING = FramesEncoding()


def _by_frame(counts: Mapping[bytes, int]) -> dict[Frame, int]:
    packed = np.frombuffer(b"".join(counts), dtype=np.uint8).reshape(-1, PACKED_BYTES)
    return dict(zip(unpack_frames(packed), counts.values(), strict=True))
