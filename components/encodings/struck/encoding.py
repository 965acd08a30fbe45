"""The encoding with onsets: a token is a frame and the set of its pitches that are struck.

The vocabulary is :class:`tunesmith.music.struck_vocabulary.StruckVocabulary`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tunesmith.components.encodings.counts import most_frequent
from tunesmith.music import REST_NAME, CorpusSettings
from tunesmith.music.frames import PACKED_BYTES
from tunesmith.music.struck import StruckFrame, struck_name, unpack_struck
from tunesmith.music.struck_vocabulary import StruckVocabulary


class StruckEncoding:
    """See :class:`tunesmith.components.encodings.encoding.Encoding`."""

    needs_onsets = True

    def fit(
        self,
        counts: Mapping[bytes, int],
        frames_per_second: float,
        corpus: CorpusSettings,
        *,
        maximum_frames: int,
        minimum_count: int,
    ) -> StruckVocabulary:
        """Return the rest and the most frequent sounding frames with their struck pitches."""
        kept = [
            (-count, tuple(frame), frame.struck, struck_name(frame))
            for frame, count in _frames(most_frequent(counts, maximum_frames))
            if count >= minimum_count
        ]
        # Ties are ordered by the frame, so that the result does not depend on the order of reading.
        names = [name for *_, name in sorted(kept)[:maximum_frames]]
        return StruckVocabulary((REST_NAME, *names), frames_per_second, corpus)

    def from_names(
        self, names: Sequence[str], frames_per_second: float, corpus: CorpusSettings
    ) -> StruckVocabulary:
        """Return the vocabulary of the frames with these names.

        Raises:
            MusicError: a name is not a struck frame's, or the frames do not start with the rest.
        """
        return StruckVocabulary(tuple(names), frames_per_second, corpus)


ENCODING = StruckEncoding()


def _frames(counts: Mapping[bytes, int]) -> list[tuple[StruckFrame, int]]:
    packed = np.frombuffer(b"".join(counts), dtype=np.uint8).reshape(-1, 2 * PACKED_BYTES)
    return list(zip(unpack_struck(packed), counts.values(), strict=True))
