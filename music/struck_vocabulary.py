"""The vocabulary of struck frames; see :mod:`tunesmith.music.struck`.

As in :class:`tunesmith.music.vocabulary.Vocabulary`, token 0 is the rest, and a frame outside the
vocabulary is encoded as the nearest frame: the one with the largest overlap of sounding pitches;
among equals, the one with the most pitches that are struck (or held) in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.music.corpus import CorpusSettings
from tunesmith.music.errors import MusicError
from tunesmith.music.frames import PACKED_BYTES, Frame, PackedFrames, packed_keys
from tunesmith.music.struck import (
    StruckFrame,
    pack_struck,
    parse_struck,
    plain_frames,
    struck_frames,
    struck_name,
)
from tunesmith.music.vocabulary import (
    REST_TOKEN,
    Vocabulary,
    count_bits,
    decode_by_place,
    encode_by_map,
    words,
)

_MAPPED_AT_ONCE = 128
"""Number of frames mapped at a time; limits memory to some megabytes."""

_STRUCK_WEIGHT = 2.0**-22
"""Weight of a pitch that is struck in both frames or held in both. Two different Jaccard indices of
sets of up to 128 pitches differ by at least 2**-14, and 128 pitches together weigh half of that."""


@dataclass(frozen=True)
class StruckVocabulary:
    """Struck frames in the order of their tokens.

    Args:
        names: name of the frame of each token; the first is the rest, all are different.
        frames_per_second: frames per second of the songs.
        corpus: settings by which the training songs were read.

    Raises:
        MusicError: a name is not that of a struck frame, the names do not start with the rest or
            repeat, or `frames_per_second` is not positive.
    """

    names: tuple[str, ...]
    frames_per_second: float
    corpus: CorpusSettings = field(default_factory=CorpusSettings)
    _nearest: dict[bytes, int] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.names or self.frames[0]:
            raise MusicError("the first frame of a vocabulary must be the rest, e")
        if len(set(self.names)) != len(self.names):
            raise MusicError("the frames of a vocabulary must all be different")
        if not self.frames_per_second > 0:
            raise MusicError("frames_per_second must be positive")

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def frames(self) -> tuple[StruckFrame, ...]:
        """The struck frame of each token."""
        return tuple(map(parse_struck, self.names))

    @cached_property
    def _tokens(self) -> dict[str, int]:
        return {name: token for token, name in enumerate(self.names)}

    @cached_property
    def _plain(self) -> Vocabulary:
        """The vocabulary of the plain frames, each once."""
        sounding = tuple(dict.fromkeys(plain_frames(self.frames)))
        return Vocabulary(sounding, self.frames_per_second, self.corpus)

    @cached_property
    def _most_frequent(self) -> dict[Frame, int]:
        """The first (most frequent) token of each plain frame."""
        found: dict[Frame, int] = {}
        for token, frame in enumerate(plain_frames(self.frames)):
            found.setdefault(frame, token)
        return found

    @cached_property
    def _packed(self) -> PackedFrames:
        return pack_struck(self.frames)

    @cached_property
    def _packed_tokens(self) -> dict[bytes, int]:
        return {key: token for token, key in enumerate(packed_keys(self._packed))}

    @property
    def rests(self) -> tuple[int, ...]:
        """The token of the rest, for the only part of a frame."""
        return (REST_TOKEN,)

    @property
    def ranges(self) -> tuple[range, ...]:
        """The range of all tokens, for the only part of a frame."""
        return (range(len(self)),)

    def tokens(self, frames: Sequence[Frame]) -> NDArray[np.int64]:
        """Return the tokens of consecutive frames, int64 [n].

        In a plain frame, the pitches that do not sound in the frame before are struck. If the
        vocabulary does not contain the struck frame, the token is the most frequent one with the
        same sounding pitches.

        Raises:
            UnknownFrame: no frame of the vocabulary has these sounding pitches; the message lists
                similar frames.
        """
        return np.array([self._token(frame) for frame in struck_frames(frames)], dtype=np.int64)

    def _token(self, frame: StruckFrame) -> int:
        token = self._tokens.get(struck_name(frame))
        if token is not None:
            return token
        sounding = self._plain.frames[self._plain.token(tuple(frame))]
        return self._most_frequent[sounding]

    def encode(self, frames: Sequence[Frame]) -> NDArray[np.int64]:
        """Return the tokens of consecutive frames, int64 [n]; unknown frames get the nearest one.

        In a plain frame, the pitches that do not sound in the frame before are struck.
        """
        return self._encode_packed(pack_struck(struck_frames(frames)))[0]

    def encode_song(
        self, distinct: PackedFrames, ids: NDArray[np.signedinteger]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the tokens of a song and a mask of its unknown frames.

        Args:
            distinct: distinct frames of the song as bits, uint8 [k, 32], see
                :func:`tunesmith.music.struck.pack_struck`.
            ids: index of each frame among them, integers [frames].

        Returns:
            Tokens, int64 [frames], and bool [frames]: True where a frame was mapped to the nearest.
        """
        tokens, mapped = self._encode_packed(distinct)
        return tokens[ids], mapped[ids]

    def decode(self, tokens: Sequence[int] | NDArray[np.integer[Any]]) -> list[Frame]:
        """Return the struck frames of `tokens` (each 0..V-1).

        Raises:
            MusicError: a token is out of range.
        """
        return decode_by_place(self.frames, tokens)

    def _encode_packed(self, packed: PackedFrames) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        return encode_by_map(packed, self._packed_tokens, self._nearest, self._map, _MAPPED_AT_ONCE)

    def _map(self, packed: PackedFrames) -> NDArray[np.int64]:
        """Return the token of the nearest frame for each unknown frame, int64 [n].

        The rest is never chosen (unless it is the only frame), so that notes do not become silence.
        """
        if len(self) == 1:
            return np.zeros(len(packed), dtype=np.int64)
        wanted, wanted_struck = _halves(packed)
        known, known_struck = _halves(self._packed[1:])
        both = wanted[:, None] & known
        common = count_bits(both)
        union = count_bits(wanted)[:, None] + count_bits(known) - common
        alike = count_bits(both & ~(wanted_struck[:, None] ^ known_struck))
        score = common / union + _STRUCK_WEIGHT * alike
        # Among equals, the first, which is the most frequent.
        tokens: NDArray[np.int64] = 1 + score.argmax(axis=1)
        return tokens


def _halves(packed: PackedFrames) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the sounding and the struck pitches as bits, uint64 [n, 2] each."""
    return words(packed[:, :PACKED_BYTES]), words(packed[:, PACKED_BYTES:])
