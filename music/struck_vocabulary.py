"""The vocabulary of struck frames; see :mod:`tunesmith.music.struck`.

As in :class:`tunesmith.music.vocabulary.Vocabulary` token 0 is the rest and a frame outside the
vocabulary is encoded as the nearest known one: of those that sound most like it, the one that
strikes most of the same pitches.
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
"""Frames: bounds the memory of a mapping step to some megabytes."""

_STRUCK_WEIGHT = 2.0**-22
"""Of a pitch that is struck in both frames or in neither. Two Jaccard indices of sets of up to 128
pitches that differ do so by 2**-14 at least, and 128 pitches together weigh half of that."""


@dataclass(frozen=True)
class StruckVocabulary:
    """Struck frames in the order of their tokens.

    Args:
        names: the name of each token's frame; the first is the rest, none comes twice.
        frames_per_second: how fast the frames were read.
        corpus: how the training songs were read.

    Raises:
        MusicError: a name is no struck frame's, the names do not start with the rest or repeat, or
            the speed is not positive.
    """

    names: tuple[str, ...]
    frames_per_second: float
    corpus: CorpusSettings = field(default_factory=CorpusSettings)
    _nearest: dict[bytes, int] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.names or self.frames[0]:
            raise MusicError("a vocabulary starts with the rest, e")
        if len(set(self.names)) != len(self.names):
            raise MusicError("a vocabulary names each frame once")
        if not self.frames_per_second > 0:
            raise MusicError("frames_per_second must be positive")

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def frames(self) -> tuple[StruckFrame, ...]:
        """The frame of each token."""
        return tuple(map(parse_struck, self.names))

    @cached_property
    def _tokens(self) -> dict[str, int]:
        return {name: token for token, name in enumerate(self.names)}

    @cached_property
    def _plain(self) -> Vocabulary:
        """What sounds in the frames, each set of pitches once."""
        sounding = tuple(dict.fromkeys(plain_frames(self.frames)))
        return Vocabulary(sounding, self.frames_per_second, self.corpus)

    @cached_property
    def _most_frequent(self) -> dict[Frame, int]:
        """The first token, which is the most frequent one, of each set of pitches."""
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
        """The token of the rest; a frame has one part."""
        return (REST_TOKEN,)

    @property
    def ranges(self) -> tuple[range, ...]:
        """All tokens; a frame has one part."""
        return (range(len(self)),)

    def tokens(self, frames: Sequence[Frame]) -> NDArray[np.int64]:
        """Return the tokens of consecutive frames whose pitches the vocabulary holds, int64 [n].

        Of a plain frame those pitches are struck that do not sound in the frame before. Where the
        vocabulary does not hold a frame so struck, the token is the most frequent one of its
        pitches.

        Raises:
            UnknownFrame: it holds none of these pitches; the message names near frames.
        """
        return np.array([self._token(frame) for frame in struck_frames(frames)], dtype=np.int64)

    def _token(self, frame: StruckFrame) -> int:
        token = self._tokens.get(struck_name(frame))
        if token is not None:
            return token
        sounding = self._plain.frames[self._plain.token(tuple(frame))]
        return self._most_frequent[sounding]

    def encode(self, frames: Sequence[Frame]) -> NDArray[np.int64]:
        """Return the tokens of consecutive frames, int64 [n]; an unknown one becomes the nearest.

        Of a plain frame those pitches are struck that do not sound in the frame before.
        """
        return self._encode_packed(pack_struck(struck_frames(frames)))[0]

    def encode_song(
        self, distinct: PackedFrames, ids: NDArray[np.signedinteger]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return a song's tokens, int64 [frames], and which of its frames were mapped, bool.

        Args:
            distinct: uint8 [k, 32], its distinct frames, see
                :func:`tunesmith.music.struck.pack_struck`.
            ids: integers [frames], which of them each of its frames is.
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
        """Return the token, int64 [n], that each unknown frame maps to.

        Music does not become silence: the rest is no candidate unless it is all there is.
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
        # Of equal ones the first, which is the most frequent.
        tokens: NDArray[np.int64] = 1 + score.argmax(axis=1)
        return tokens


def _halves(packed: PackedFrames) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return what sounds and what is struck, uint64 [n, 2] each."""
    return words(packed[:, :PACKED_BYTES]), words(packed[:, PACKED_BYTES:])
