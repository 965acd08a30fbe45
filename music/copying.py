"""Stretches of songs that are found frame by frame in other songs.

Exact: no hashes, no sampling. StatisticsGen compares held-out songs with training songs, Evaluator
composed ones. Works on tokens, so that frames are equal where their tokens are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Song = NDArray[np.integer[Any]]
Ints = NDArray[np.int64]

_BESIDE_TRAINING, _BESIDE_SONGS = -2, -1
"""Separator after each song, so that no stretch spans two songs; no token is negative."""

LEAST_CHANGES = 2
"""Changes of token within a known stretch that counts: a held note is in every song."""

BLOCK_TOKENS = 2**20
"""Tokens of the other songs that are compared at a time: bounds memory."""


class Copied(NamedTuple):
    """The stretches of a song that are copied from other songs.

    Attributes:
        longest: frames of the longest stretch that is found in one of them.
        changes: most frames in such a stretch that differ from the frame before; a long rest or a
            held chord, which any two songs may share, has none.
        share: share of the song's frames within such stretches of the least length or more.
    """

    longest: int
    changes: int
    share: float


class KnownStretches(NamedTuple):
    """How much of a song is found in the songs it was compared with.

    Attributes:
        stretches: how many there are of a length, with :data:`LEAST_CHANGES` or more; they overlap.
        known: how many of them are found.
    """

    stretches: int
    known: int

    @property
    def share(self) -> float:
        """Share of the stretches that are found; 0 without stretches."""
        return self.known / self.stretches if self.stretches else 0.0


def copied_stretches(songs: Sequence[Song], others: Iterable[Song], least: int) -> list[Copied]:
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


def known_stretches(song: Song, matches: Ints, length: int) -> KnownStretches:
    """Return how many of a song's stretches of a length are found in the songs compared with it.

    Args:
        song: tokens, integers [n].
        matches: of :func:`match_lengths`, int64 [n].
        length: frames of a stretch, at least 1.
    """
    changes = np.concatenate(([0], np.cumsum(song[1:] != song[:-1])))[: len(song)]
    inside = changes[length - 1 :] - changes[: max(len(song) - length + 1, 0)]
    known = matches[: len(inside)][inside >= LEAST_CHANGES] >= length
    return KnownStretches(len(known), int(np.count_nonzero(known)))


def match_lengths(
    songs: Sequence[Song], others: Iterable[Song], most: int | None = None
) -> list[Ints]:
    """Return for each frame of each song how long a stretch from there is found in `others`.

    A block of `others` and all `songs` are laid out as one row of tokens, of which every place gets
    its rank among all stretches of 1, 2, 4, … frames (the doubling of Manber and Myers 1993,
    "Suffix arrays: a new method for on-line string searches"). In the order of the longest, the
    best match of a place is one of the two nearest places of the block; how far it goes is found by
    halving.

    Time grows with n log(longest song), memory with `songs` and a block: see docs/evaluation.md for
    what was measured.

    Args:
        songs: tokens, integers [n] each, none negative.
        others: tokens, integers [n] each, none negative; read once.
        most: longest stretch of interest: a longer one may be counted as one of any length from
            there on, which takes less time. None for no such bound.

    Returns:
        int64 [n] for each song of n frames.
    """
    if not songs:
        return []
    own, ends = _laid_out(songs, _BESIDE_SONGS)
    longest = max(map(len, songs))
    found = np.zeros(len(own), dtype=np.int64)
    # A block no smaller than the songs themselves, which are ranked again with each.
    for block in _blocks(others, max(BLOCK_TOKENS, len(own))):
        found = np.maximum(found, _matches(own, block, min(most or longest, longest)))
    return [found[end - len(song) : end] for song, end in zip(songs, ends, strict=True)]


def _matches(own: Ints, block: Sequence[Song], longest: int) -> Ints:
    """Return how long a stretch from each place of `own` is found in the block, int64 [n]."""
    theirs, _ = _laid_out(block, _BESIDE_TRAINING)
    ranks = _ranks(np.concatenate([theirs, own]), longest)
    their_ranks, our_ranks = np.split(ranks[-1], [len(theirs)])
    order = np.argsort(their_ranks, kind="stable")
    below = np.searchsorted(their_ranks[order], our_ranks)
    places = len(theirs) + np.arange(len(own))
    found = np.zeros(len(own), dtype=np.int64)
    for neighbour in (below - 1, below):
        near = order[np.clip(neighbour, 0, len(theirs) - 1)]
        found = np.maximum(found, _common(ranks, places, near))
    return found


def _blocks(songs: Iterable[Song], tokens: int) -> Iterator[list[Song]]:
    """Yield the songs in lists that hold `tokens` tokens or a little more, the last one fewer."""
    block: list[Song] = []
    size = 0
    for song in songs:
        block.append(song)
        size += len(song)
        if size >= tokens:
            yield block
            block, size = [], 0
    if block:
        yield block


def _laid_out(songs: Sequence[Song], mark: int) -> tuple[Ints, list[int]]:
    """Return all tokens, `mark` after each song, and the place of each song's mark."""
    parts = [part for song in songs for part in (song, np.array([mark]))]
    row = np.concatenate([np.zeros(0, np.int64), *parts]).astype(np.int64)
    return row, (np.cumsum([len(song) + 1 for song in songs], dtype=np.int64) - 1).tolist()


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
