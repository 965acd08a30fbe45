"""Stretches of songs that are found frame by frame in other songs.

Exact: no hashes, no sampling. Works on tokens, so that frames are equal where their tokens are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Song = NDArray[np.integer[Any]]
Ints = NDArray[np.int64]

_BESIDE_TRAINING, _BESIDE_SONGS = -2, -1
"""What stands behind each song, so that no stretch goes beyond it; no token is negative."""


class Copied(NamedTuple):
    """What a song has in common with the songs it was compared with.

    Attributes:
        longest: frames of the longest stretch that is found in one of them.
        changes: most frames in such a stretch that differ from the frame before; a long rest or a
            held chord, which any two songs may share, has none.
        share: share of the song's frames within such stretches of the least length or more.
    """

    longest: int
    changes: int
    share: float


def copied_stretches(songs: Sequence[Song], others: Sequence[Song], least: int) -> list[Copied]:
    """Compare each of `songs` with all of `others`.

    Args:
        songs: tokens, integers [n] each.
        others: tokens, integers [n] each; typically those of the training split.
        least: frames of a stretch that counts for the share, at least 1.
    """
    return [
        _summary(song, lengths, least)
        for song, lengths in zip(songs, match_lengths(songs, others), strict=True)
    ]


def match_lengths(songs: Sequence[Song], others: Sequence[Song]) -> list[Ints]:
    """Return for each frame of each song how long a stretch from there is found in `others`.

    Both are laid out as one row of tokens, of which every place gets its rank among all stretches
    of 1, 2, 4, … frames (the doubling of Manber and Myers 1993, "Suffix arrays: a new method for
    on-line string searches"). In the order of the longest, the best match of a place is one of the
    two nearest places of `others`; how far it goes is found by halving.

    Time and memory grow with n log(longest song): see docs/evaluation.md for what was measured.

    Returns:
        int64 [n] for each song of n frames.
    """
    text, own = _laid_out(others, songs)
    if not own:
        return [np.zeros(len(song), dtype=np.int64) for song in songs]
    longest = max((len(song) for song in songs), default=0)
    ranks = _ranks(text, longest)
    theirs, ours = ranks[-1][:own], ranks[-1][own:]
    order = np.argsort(theirs, kind="stable")
    below = np.searchsorted(theirs[order], ours)
    places = own + np.arange(len(ours))
    found = np.zeros(len(ours), dtype=np.int64)
    for neighbour in (below - 1, below):
        near = order[np.clip(neighbour, 0, own - 1)]
        found = np.maximum(found, _common(ranks, places, near))
    ends = np.cumsum([len(song) + 1 for song in songs], dtype=np.int64)
    return [
        found[end - len(song) - 1 : end - 1] for song, end in zip(songs, ends.tolist(), strict=True)
    ]


def _laid_out(others: Sequence[Song], songs: Sequence[Song]) -> tuple[Ints, int]:
    """Return all tokens, each song before its mark, and where `songs` begin among them."""
    parts: list[Song] = []
    for some, mark in ((others, _BESIDE_TRAINING), (songs, _BESIDE_SONGS)):
        for song in some:
            parts += [song, np.array([mark])]
    row = np.concatenate([np.zeros(0, np.int64), *parts]).astype(np.int64)
    return row, sum(len(song) + 1 for song in others)


def _ranks(text: Ints, longest: int) -> list[NDArray[np.int32]]:
    """Return for 1, 2, 4, … frames, up to at least `longest`, the rank of each place, int32 [n]."""
    ranks = [np.unique(text, return_inverse=True)[1].astype(np.int32)]
    length = 1
    while length < longest:
        last = ranks[-1].astype(np.int64)
        # Past the end stands what is smaller than any rank.
        behind = np.zeros_like(last)
        behind[: len(last) - length] = last[length:] + 1
        pairs = last * (len(last) + 1) + behind
        ranks.append(np.unique(pairs, return_inverse=True)[1].astype(np.int32))
        length *= 2
    return ranks


def _common(ranks: Sequence[NDArray[np.int32]], here: Ints, there: Ints) -> Ints:
    """Return how many frames are the same from each place `here` and `there`, int64 [n]."""
    total = len(ranks[0])
    same = np.zeros(len(here), dtype=np.int64)
    for level in reversed(range(len(ranks))):
        left, right = here + same, there + same
        inside = (left < total) & (right < total)
        rank = ranks[level]
        equal = rank[np.minimum(left, total - 1)] == rank[np.minimum(right, total - 1)]
        same += np.where(inside & equal, 1 << level, 0)
    return same


def _summary(song: Song, lengths: Ints, least: int) -> Copied:
    if not len(song):
        return Copied(0, 0, 0.0)
    starts = np.arange(len(song))
    changed = np.concatenate(([0], np.cumsum(song[1:] != song[:-1])))
    last = np.maximum(starts + lengths - 1, starts)
    covered = np.zeros(len(song) + 1, dtype=np.int64)
    long = starts[lengths >= least]
    np.add.at(covered, long, 1)
    np.add.at(covered, long + lengths[long], -1)
    return Copied(
        int(lengths.max()),
        int((changed[last] - changed[starts]).max()),
        float(np.mean(np.cumsum(covered[:-1]) > 0)),
    )
