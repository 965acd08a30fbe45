"""Statistics of a collection, and ``statistics.json``.

The statistics of a song are counts, so they can be added in any order, on any number of workers,
with the same result. This module imports neither Beam nor TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.records.songs import SongFrames
from tunesmith.music.frames import PACKED_BYTES, PITCHES

Ints = NDArray[np.int64]

BIN_SECONDS = 10
"""Width of the bins of song lengths."""

_BINS = 121
"""Twenty minutes of bins, and a last one for whatever is longer."""

_MICROSECONDS = 1_000_000

REST_KEYS = (bytes(PACKED_BYTES), bytes(2 * PACKED_BYTES))
"""The rest's bits, of a plain frame and of a struck one; counts hold frames of one kind."""


@dataclass(frozen=True, eq=False)
class SplitStatistics:
    """Counts over the songs of one split; without arguments, of a split without songs.

    Args:
        songs: number of songs; a copy in another key is a separate song.
        frames: of all songs.
        windows: training or evaluation windows.
        mapped_frames: frames outside the vocabulary, mapped to the nearest known one.
        repeated_frames: frames with the token of the frame before them. Their share is how often
            the guess "the same once more" is right.
        microseconds: total duration of the songs.
        shortest_frames: of the shortest song; 0 without songs.
        longest_frames: of the longest song.
        shortest_microseconds: of the song that ends soonest; 0 without songs.
        longest_microseconds: of the song that lasts longest.
        frames_by_polyphony: int64 [129], number of frames by the number of sounding pitches.
        frames_by_pitch: int64 [128], frames in which each pitch sounds.
        songs_by_length: int64 [121], songs of 0..10 s, 10..20 s, …, 1200 s and more.
    """

    songs: int = 0
    frames: int = 0
    windows: int = 0
    mapped_frames: int = 0
    repeated_frames: int = 0
    microseconds: int = 0
    shortest_frames: int = 0
    longest_frames: int = 0
    shortest_microseconds: int = 0
    longest_microseconds: int = 0
    frames_by_polyphony: Ints = field(default_factory=lambda: np.zeros(PITCHES + 1, np.int64))
    frames_by_pitch: Ints = field(default_factory=lambda: np.zeros(PITCHES, np.int64))
    songs_by_length: Ints = field(default_factory=lambda: np.zeros(_BINS, np.int64))

    @classmethod
    def of_song(
        cls, song: SongFrames, tokens: NDArray[np.signedinteger], mapped: NDArray[np.bool_]
    ) -> SplitStatistics:
        """Count one song.

        Args:
            song: its frames.
            tokens: integers [frames], what they were encoded as.
            mapped: bool [frames], which of them the vocabulary does not hold.
        """
        frames = len(song.ids)
        # A song repeats its frames: count those, and look at the bits of each distinct one once.
        weights = np.bincount(song.ids, minlength=len(song.distinct))
        halves = np.bitwise_count(np.ascontiguousarray(song.distinct).view(np.uint64))
        polyphony = halves[:, 0] + halves[:, 1]
        frames_by_pitch: Ints = np.einsum(
            "kp,k->p", np.unpackbits(song.distinct, axis=1), weights, dtype=np.int64
        )
        # Whole microseconds, so that the order of adding cannot show.
        microseconds = round(_MICROSECONDS * frames / song.frames_per_second)
        length = min(microseconds // (BIN_SECONDS * _MICROSECONDS), _BINS - 1)
        songs_by_length = np.zeros(_BINS, dtype=np.int64)
        songs_by_length[length] = 1
        return cls(
            songs=1,
            frames=frames,
            # Each frame is the target of one window.
            windows=len(tokens),
            mapped_frames=int(np.count_nonzero(mapped)),
            repeated_frames=int(np.count_nonzero(tokens[1:] == tokens[:-1])),
            microseconds=microseconds,
            shortest_frames=frames,
            longest_frames=frames,
            shortest_microseconds=microseconds,
            longest_microseconds=microseconds,
            # bincount adds weights as float64, exact up to 2**53; a song is far shorter.
            frames_by_polyphony=np.bincount(polyphony, weights, PITCHES + 1).astype(np.int64),
            frames_by_pitch=frames_by_pitch,
            songs_by_length=songs_by_length,
        )

    @classmethod
    def merge(cls, many: Iterable[SplitStatistics]) -> SplitStatistics:
        """Return the statistics of all the songs of `many`, in whatever order they come."""
        return cls.from_bytes(cls.merge_bytes(each.to_bytes() for each in many))

    def to_bytes(self) -> bytes:
        """Return the numbers as little-endian int64, which :meth:`from_bytes` reads."""
        numbers = np.array([getattr(self, name) for name in _NUMBERS], dtype="<i8")
        return b"".join(
            (numbers.tobytes(), *(getattr(self, name).astype("<i8").tobytes() for name in _SIZES))
        )

    @staticmethod
    def merge_bytes(many: Iterable[bytes]) -> bytes:
        """Return the bytes of what :meth:`merge` returns, where statistics travel as bytes."""
        # Statistics without songs are zeros, so that they are neutral to all but a minimum.
        rows = np.frombuffer(_WITHOUT_SONGS + b"".join(many), dtype="<i8").reshape(-1, _SIZE)
        merged = rows.sum(axis=0)
        of_songs = rows[rows[:, _SONGS] > 0]
        if len(of_songs):
            merged[_MINIMA] = of_songs[:, _MINIMA].min(axis=0)
            merged[_MAXIMA] = of_songs[:, _MAXIMA].max(axis=0)
        return merged.tobytes()

    @classmethod
    def from_bytes(cls, content: bytes) -> SplitStatistics:
        """Read what :meth:`to_bytes` wrote.

        Raises:
            ValueError: the bytes are not of this version.
        """
        if len(content) != len(_WITHOUT_SONGS):
            raise ValueError(
                f"statistics of a split are {len(_WITHOUT_SONGS)} bytes, not {len(content)}"
            )
        values = np.frombuffer(content, dtype="<i8").astype(np.int64)
        read: dict[str, Any] = dict(zip(_NUMBERS, values.tolist(), strict=False))
        at = len(_NUMBERS)
        for name, size in _SIZES.items():
            read[name] = values[at : at + size]
            at += size
        return cls(**read)


_SIZES = {
    "frames_by_polyphony": PITCHES + 1,
    "frames_by_pitch": PITCHES,
    "songs_by_length": _BINS,
}
_NUMBERS = tuple(each.name for each in fields(SplitStatistics) if each.name not in _SIZES)
_SIZE = len(_NUMBERS) + sum(_SIZES.values())
_WITHOUT_SONGS = bytes(8 * _SIZE)
_SONGS = _NUMBERS.index("songs")
_MINIMA = [at for at, name in enumerate(_NUMBERS) if name.startswith("shortest")]
_MAXIMA = [at for at, name in enumerate(_NUMBERS) if name.startswith("longest")]


def coverage_curve(counts: Mapping[bytes, int], vocabulary_size: int) -> list[tuple[int, float]]:
    """Return how much of the training frames vocabularies of growing size hold.

    Args:
        counts: how often each frame occurs, by its bits (see
            :func:`tunesmith.music.frames.packed_keys`); the rest may be among them.
        vocabulary_size: of the vocabulary in use, which gets a point of its own.

    Returns:
        (tokens, share) in rising order: a vocabulary of `tokens` tokens, the rest and the most
        frequent sounding frames, holds this share of the frames. Empty without frames.
    """
    rests = sum(counts.get(key, 0) for key in REST_KEYS)
    sounding = np.fromiter(counts.values(), dtype=np.int64, count=len(counts))
    sounding = np.sort(sounding)[::-1]
    if rests:
        # Of equal counts any may go: the numbers that stay are the same.
        sounding = np.delete(sounding, int(np.flatnonzero(sounding == rests)[0]))
    return coverage_of_counts(sounding, rests, vocabulary_size)


def coverage_of_counts(sounding: Ints, rests: int, vocabulary_size: int) -> list[tuple[int, float]]:
    """Return :func:`coverage_curve` of counts alone.

    Args:
        sounding: int64 [n], how often each distinct sounding frame occurs, in falling order.
        rests: how often the rest occurs.
        vocabulary_size: of the vocabulary in use, the rest included.
    """
    covered = rests + np.concatenate(([0], np.cumsum(sounding, dtype=np.int64)))
    total = int(covered[-1])
    if not total:
        return []
    largest = len(covered)
    sizes = {
        digit * 10**power
        for power in range(len(str(largest)))
        for digit in (1, 2, 3, 5, 7)
        if digit * 10**power < largest
    }
    sizes |= {min(vocabulary_size, largest), largest}
    return [(size, int(covered[size - 1]) / total) for size in sorted(sizes)]


def describe(
    splits: Mapping[str, SplitStatistics],
    *,
    vocabulary_size: int,
    distinct_sounding_frames: int,
    coverage: Iterable[tuple[int, float]],
) -> dict[str, Any]:
    """Return the content of ``statistics.json``.

    Args:
        splits: by name, in the order to show them in.
        vocabulary_size: tokens, the rest among them.
        distinct_sounding_frames: of the training split, in the vocabulary or not.
        coverage: of :func:`coverage_curve`.
    """
    return {
        "splits": {name: _describe_split(split) for name, split in splits.items()},
        "distinct_sounding_frames": distinct_sounding_frames,
        "vocabulary_size": vocabulary_size,
        "vocabulary_coverage": [[size, share] for size, share in coverage],
    }


def _describe_split(split: SplitStatistics) -> dict[str, Any]:
    polyphony, pitches = split.frames_by_polyphony, split.frames_by_pitch
    rests = int(polyphony[0])
    heard = np.flatnonzero(pitches).tolist()
    return {
        "songs": split.songs,
        "frames": split.frames,
        "rests": rests,
        "mapped_frames": split.mapped_frames,
        "windows": split.windows,
        "repeated_frames": split.repeated_frames,
        "mapped_share": _ratio(split.mapped_frames, split.frames),
        "rest_share": _ratio(rests, split.frames),
        "repeated_share": _ratio(split.repeated_frames, split.frames),
        "seconds": split.microseconds / _MICROSECONDS,
        "song_length": {
            "shortest_seconds": split.shortest_microseconds / _MICROSECONDS,
            "mean_seconds": _ratio(split.microseconds, split.songs) / _MICROSECONDS,
            "longest_seconds": split.longest_microseconds / _MICROSECONDS,
            "shortest_frames": split.shortest_frames,
            "mean_frames": _ratio(split.frames, split.songs),
            "longest_frames": split.longest_frames,
            "bin_seconds": BIN_SECONDS,
            "songs_by_bin": np.trim_zeros(split.songs_by_length, "b").tolist(),
        },
        "lowest_pitch": heard[0] if heard else None,
        "highest_pitch": heard[-1] if heard else None,
        "mean_polyphony": _ratio(int(pitches.sum()), split.frames - rests),
        "highest_polyphony": len(np.trim_zeros(polyphony, "b")[1:]),
        "frames_by_polyphony": np.trim_zeros(polyphony, "b").tolist(),
        "frames_by_pitch": pitches.tolist(),
    }


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
