"""The vocabulary: the frames of a model and their tokens.

A token is the index of a frame. Token 0 is the rest; the other frames follow in descending order of
frequency in the training split. A frame outside the vocabulary is encoded as the frame with the
largest overlap. So there is no ``<unk>`` token, neither in the data nor in generated songs.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunesmith.music.corpus import CorpusSettings
from tunesmith.music.errors import MusicError, UnknownFrame
from tunesmith.music.frames import (
    REST,
    Frame,
    PackedFrames,
    frame_name,
    pack_frames,
    packed_keys,
    parse_frame,
)

REST_TOKEN = 0
"""The token of the rest in every vocabulary."""

_MAPPED_AT_ONCE = 512
"""Number of frames mapped at a time; limits memory to a few megabytes."""


class _BySize(NamedTuple):
    """The sounding frames of a vocabulary, sorted by number of pitches, then by frequency.

    `tokens` is int64 [n]; `holds` is uint8 [128, n], 1 if a frame contains a pitch; `sizes` is
    int64 [k], the distinct numbers of pitches; frames of ``sizes[i]`` pitches are at ``bounds[i]``
    up to ``bounds[i + 1]``.
    """

    tokens: NDArray[np.int64]
    holds: NDArray[np.uint8]
    sizes: NDArray[np.int64]
    bounds: list[int]


@dataclass(frozen=True)
class Vocabulary:
    """Frames in the order of their tokens.

    Args:
        frames: frame of each token; the first is the rest, all are different.
        frames_per_second: frames per second of the songs.
        corpus: settings by which the training songs were read.

    Raises:
        MusicError: the frames do not start with the rest or repeat, or `frames_per_second` is not
            positive.
    """

    frames: tuple[Frame, ...]
    frames_per_second: float
    corpus: CorpusSettings = field(default_factory=CorpusSettings)
    _nearest: dict[bytes, int] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.frames or self.frames[0] != REST:
            raise MusicError("the first frame of a vocabulary must be the rest, e")
        if len(set(self.frames)) != len(self.frames):
            raise MusicError("the frames of a vocabulary must all be different")
        if not self.frames_per_second > 0:
            raise MusicError("frames_per_second must be positive")

    @classmethod
    def from_counts(
        cls,
        counts: Mapping[Frame, int],
        frames_per_second: float,
        maximum_frames: int | None = None,
        minimum_count: int = 1,
        corpus: CorpusSettings | None = None,
    ) -> Vocabulary:
        """Build the vocabulary of a training split.

        Args:
            counts: number of occurrences of each frame; may include the rest.
            frames_per_second: frames per second of the songs.
            maximum_frames: maximum number of sounding frames (200 in the paper); None keeps all.
            minimum_count: minimum number of occurrences of a frame.
            corpus: settings by which the songs were read; None uses the defaults.
        """
        kept = [
            frame for frame, count in counts.items() if frame != REST and count >= minimum_count
        ]
        # Ties are broken by the frame itself, so that the result is deterministic.
        kept.sort(key=lambda frame: (-counts[frame], frame))
        return cls((REST, *kept[:maximum_frames]), frames_per_second, corpus or CorpusSettings())

    def __len__(self) -> int:
        return len(self.frames)

    def __contains__(self, frame: object) -> bool:
        return frame in self._tokens

    @cached_property
    def _tokens(self) -> dict[Frame, int]:
        return {frame: token for token, frame in enumerate(self.frames)}

    @cached_property
    def _packed_tokens(self) -> dict[bytes, int]:
        return {key: token for token, key in enumerate(packed_keys(pack_frames(self.frames)))}

    @cached_property
    def _sounding(self) -> NDArray[np.uint64]:
        return words(pack_frames(self.frames[1:]))

    @cached_property
    def _known_by_size(self) -> _BySize:
        members = np.unpackbits(pack_frames(self.frames[1:]), axis=1)
        size = members.sum(axis=1, dtype=np.int64)
        order = np.argsort(size, kind="stable")
        sizes, starts = np.unique(size[order], return_index=True)
        holds = np.ascontiguousarray(members[order].T)
        return _BySize(1 + order, holds, sizes, [*starts.tolist(), len(order)])

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Name of the frame of each token: ``e``, ``60``, ``60,64,67``."""
        return tuple(map(frame_name, self.frames))

    def token(self, frame: Frame) -> int:
        """Return the token of a frame.

        Raises:
            UnknownFrame: the vocabulary does not contain the frame; the message lists similar ones.
        """
        try:
            return self._tokens[frame]
        except KeyError:
            near = "; ".join(map(frame_name, self.near(frame)))
            raise UnknownFrame(
                f"the model's vocabulary does not contain the frame {frame_name(frame)}; similar "
                f"frames: {near}"
            ) from None

    def tokens(self, frames: Sequence[Frame]) -> NDArray[np.int64]:
        """Return the tokens of frames, int64 [n].

        Raises:
            UnknownFrame: the vocabulary does not contain a frame; the message lists similar ones.
        """
        return np.array([self.token(frame) for frame in frames], dtype=np.int64)

    def near(self, frame: Frame, count: int = 5) -> list[Frame]:
        """Return the `count` sounding frames that are most similar to `frame`.

        Sorted by overlap (Jaccard index), then by difference of the number of pitches, then by
        distance of the mean pitch.
        """
        overlap = self._overlap(pack_frames([frame]))[0]
        centre = float(np.mean(frame)) if frame else 0.0

        def distance(token: int) -> tuple[float, int, float, int]:
            known = self.frames[token]
            pitches = abs(len(known) - len(frame))
            return -float(overlap[token - 1]), pitches, abs(float(np.mean(known)) - centre), token

        return [self.frames[token] for token in sorted(range(1, len(self)), key=distance)[:count]]

    def encode(self, frames: Sequence[Frame]) -> NDArray[np.int64]:
        """Return the tokens of `frames`, int64 [n]; unknown frames get that of the nearest one."""
        return self.encode_packed(pack_frames(frames))[0]

    def encode_packed(self, packed: PackedFrames) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the tokens of frames given as bits, and a mask of the unknown frames.

        Args:
            packed: uint8 [n, 16], see :data:`tunesmith.music.frames.PackedFrames`.

        Returns:
            Tokens, int64 [n], and bool [n]: True where a frame is outside the vocabulary.
        """
        return encode_by_map(packed, self._packed_tokens, self._nearest, self._map, _MAPPED_AT_ONCE)

    @property
    def rests(self) -> tuple[int, ...]:
        """The token of the rest, for the only part of a frame."""
        return (REST_TOKEN,)

    @property
    def ranges(self) -> tuple[range, ...]:
        """The range of all tokens, for the only part of a frame."""
        return (range(len(self)),)

    def encode_song(
        self, distinct: PackedFrames, ids: NDArray[np.signedinteger]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the tokens of a song and a mask of its unknown frames.

        Args:
            distinct: distinct frames of the song as bits, uint8 [k, 16].
            ids: index of each frame among them, integers [frames].

        Returns:
            Tokens, int64 [frames], and bool [frames]: True where a frame was mapped to the nearest.
        """
        tokens, mapped = self.encode_packed(distinct)
        return tokens[ids], mapped[ids]

    def decode(self, tokens: Sequence[int] | NDArray[np.integer[Any]]) -> list[Frame]:
        """Return the frames of `tokens` (each 0..V-1).

        Raises:
            MusicError: a token is out of range.
        """
        return decode_by_place(self.frames, tokens)

    def _overlap(self, packed: PackedFrames) -> NDArray[np.float32]:
        """Return the Jaccard index of each frame with each sounding frame, float32 [n, V - 1]."""
        wanted, known = words(packed), self._sounding
        common = count_bits(wanted[:, None] & known[None])
        union = count_bits(wanted)[:, None] + count_bits(known) - common
        overlap: NDArray[np.float32] = np.divide(common, union, dtype=np.float32)
        return overlap

    def _map(self, packed: PackedFrames) -> NDArray[np.int64]:
        """Return the token of the nearest frame for each unknown frame, int64 [n].

        The nearest frame has the largest Jaccard index; among equals, the smallest token (the most
        frequent frame). The rest is never chosen (unless it is the only frame), so that notes do
        not become silence.
        """
        if len(self) == 1:
            return np.zeros(len(packed), dtype=np.int64)
        known = self._known_by_size
        rows, pitches = np.nonzero(np.unpackbits(packed, axis=1))
        size = np.bincount(rows, minlength=len(packed))
        place = np.arange(len(rows)) - np.repeat(np.cumsum(size) - size, size)
        common = np.zeros((len(packed), known.holds.shape[1]), dtype=np.uint8)
        for nth in range(size.max(initial=0)):
            chosen = place == nth
            common[rows[chosen]] += known.holds[pitches[chosen]]
        # Among frames of equal size, most common pitches means the largest Jaccard index.
        column = np.empty((len(packed), len(known.sizes)), dtype=np.int64)
        for index, (start, end) in enumerate(itertools.pairwise(known.bounds)):
            column[:, index] = start + common[:, start:end].argmax(axis=1)
        shared = np.take_along_axis(common, column, axis=1)
        index_of = shared / (size[:, None] + known.sizes - shared)
        best = index_of == index_of.max(axis=1, keepdims=True)
        tokens: NDArray[np.int64] = np.where(best, known.tokens[column], len(self)).min(axis=1)
        return tokens

    def to_json(self) -> str:
        """Return ``{"frames_per_second": 5.0, "frames": ["e", "60", …], "corpus": {…}}``.

        The position of a frame is its token.
        """
        content = {
            "frames_per_second": self.frames_per_second,
            "frames": list(self.names),
            "corpus": self.corpus.to_dict(),
        }
        return json.dumps(content, indent=0)

    @classmethod
    def from_json(cls, text: str) -> Vocabulary:
        """Return the vocabulary of a JSON text; the inverse of :meth:`to_json`.

        Raises:
            MusicError: the text is not a vocabulary.
        """
        try:
            content = json.loads(text)
            frames = tuple(parse_frame(name) for name in content["frames"])
            corpus = CorpusSettings.from_dict(content["corpus"])
            return cls(frames, float(content["frames_per_second"]), corpus)
        except (KeyError, TypeError, ValueError) as error:
            raise MusicError(f"invalid vocabulary file: {error}") from error

    @classmethod
    def read(cls, path: Path) -> Vocabulary:
        """Read a ``vocabulary.json``."""
        return cls.from_json(path.read_text(encoding="utf-8"))


def encode_by_map(
    packed: PackedFrames,
    known: Mapping[bytes, int],
    nearest: dict[bytes, int],
    map_frames: Callable[[PackedFrames], NDArray[np.int64]],
    at_once: int,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the tokens of frames given as bits, and a mask of the unknown frames.

    Args:
        packed: uint8 [n, bytes].
        known: token of each frame of the vocabulary, by its bits.
        nearest: cache of the tokens of unknown frames, by their bits; new ones are added.
        map_frames: function from unknown frames, uint8 [k, bytes], to tokens, int64 [k].
        at_once: maximum number of frames to map at a time.

    Returns:
        Tokens, int64 [n], and bool [n]: True where a frame is unknown.
    """
    keys = packed_keys(packed)
    tokens = np.array([known.get(key, -1) for key in keys], dtype=np.int64)
    unknown = tokens < 0
    for row in np.flatnonzero(unknown).tolist():
        tokens[row] = nearest.get(keys[row], -1)
    new = np.flatnonzero(tokens < 0)
    for start in range(0, len(new), at_once):
        rows = new[start : start + at_once]
        tokens[rows] = map_frames(packed[rows])
    nearest.update((keys[row], int(tokens[row])) for row in new.tolist())
    return tokens, unknown


def decode_by_place(
    frames: Sequence[Frame], tokens: Sequence[int] | NDArray[np.integer[Any]]
) -> list[Frame]:
    """Return the frame of each token.

    Raises:
        MusicError: a token is out of range.
    """
    ids = [int(token) for token in tokens]
    for token in ids:
        if not 0 <= token < len(frames):
            raise MusicError(f"token {token} is outside the vocabulary: 0 to {len(frames) - 1}")
    return [frames[token] for token in ids]


def words(packed: PackedFrames) -> NDArray[np.uint64]:
    """Return frames, uint8 [n, 16], as a view of the same bits, uint64 [n, 2]."""
    return np.ascontiguousarray(packed).view(np.uint64)


def count_bits(words: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Return the number of set bits of each 128-bit row, uint64 [..., 2], as uint8 [...]."""
    # Not a matrix product of zeros and ones: on a busy machine, the threads of a linear algebra
    # library cost ten times the time that they save on such small matrices.
    counts: NDArray[np.uint8] = np.bitwise_count(words[..., 0]) + np.bitwise_count(words[..., 1])
    return counts
