"""Stretches of a held-out song that occur in training songs note for note.

Transform keeps one of several songs with the same frames; a copy with one frame changed gets
through. It shows as a song most of whose long stretches are known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEAST_CHANGES = 2
"""Changes of token within a stretch that counts: a note held is in every song."""

_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_BASE = 0xD1342543DE82EF95


class KnownStretches(NamedTuple):
    """What of a song occurs in others.

    Attributes:
        stretches: of the length asked for, with changes enough.
        known: how many of them occur.
    """

    stretches: int
    known: int

    @property
    def share(self) -> float:
        """Of the stretches that occur; 0 without stretches."""
        return self.known / self.stretches if self.stretches else 0.0


def known_stretches(
    songs: Sequence[NDArray[np.int32]], training: Iterable[NDArray[np.int32]], length: int
) -> list[KnownStretches]:
    """Return how much of each song occurs in any of the training songs.

    Stretches are told apart by 64 bits of hash, so a million of them among ten million give a false
    match once in about two million such comparisons. Memory grows with `songs` alone.

    Args:
        songs: int32 [n] each, held out.
        training: int32 [n] each; read once.
        length: frames in a stretch.
    """
    hashed = [_hashes(song, length) for song in songs]
    wanted = np.unique(np.concatenate([*hashed, np.zeros(0, np.uint64)]))
    seen = np.zeros(len(wanted), dtype=bool)
    if len(wanted):
        for song in training:
            hashes = _hashes(song, length)
            places = np.searchsorted(wanted, hashes)
            places[places == len(wanted)] = 0
            seen[places[wanted[places] == hashes]] = True
    return [
        KnownStretches(len(each), int(np.count_nonzero(seen[np.searchsorted(wanted, each)])))
        for each in hashed
    ]


def _hashes(tokens: NDArray[np.int32], length: int) -> NDArray[np.uint64]:
    """Return a hash, uint64, of each stretch in which something happens, in order."""
    if len(tokens) < length:
        return np.zeros(0, np.uint64)
    # A polynomial of mixed tokens modulo 2**64, with all overflows meant.
    powers = np.array([pow(_BASE, place, 2**64) for place in range(length)], dtype=np.uint64)
    mixed = _mix(tokens.astype(np.uint64))
    hashes: NDArray[np.uint64] = np.lib.stride_tricks.sliding_window_view(mixed, length) @ powers
    changes = np.concatenate(([0], np.cumsum(tokens[1:] != tokens[:-1])))
    return hashes[changes[length - 1 :] - changes[: len(hashes)] >= LEAST_CHANGES]


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scatter small numbers over 64 bits: the finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    mixed = (values + np.uint64(1)) * _MIX[0]
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX[1]
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX[2]
    return mixed ^ (mixed >> np.uint64(31))
