"""The drift between two splits, with a permutation test.

A small split always differs from a large one: some frames are in one song only. So the distance is
compared with those of random divisions of the same songs, a permutation test with whole songs as
units (Good, "Permutation, Parametric and Bootstrap Tests of Hypotheses", 2005, ch. 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.encodings.encoding import TokenVocabulary

PITCH_CLASSES = 12


@dataclass(frozen=True)
class Drift:
    """The drift of a split from the training songs.

    Args:
        bits: Jensen-Shannon divergence, 0 (the same) to 1 (nothing in common).
        expected_bits: its mean over random divisions of the same songs.
        chance: p-value: share of the divisions, this one included, with at least this divergence.
    """

    bits: float
    expected_bits: float
    chance: float


@dataclass(frozen=True)
class TokenCounts:
    """Occurrences of each token in each song, without zeros.

    Args:
        song: int64 [k], number of the song.
        token: int64 [k], of its tokens, each once.
        count: int64 [k], how often.
        songs: how many there are.
    """

    song: NDArray[np.int64]
    token: NDArray[np.int64]
    count: NDArray[np.int64]
    songs: int

    @classmethod
    def of(cls, songs: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> TokenCounts:
        """Lay out songs, each as (its distinct tokens, how often each occurs)."""
        sizes = [len(tokens) for tokens, _ in songs]
        nothing = [np.zeros(0, np.int64)]
        return cls(
            np.repeat(np.arange(len(songs)), sizes),
            np.concatenate([tokens for tokens, _ in songs] or nothing),
            np.concatenate([counts for _, counts in songs] or nothing),
            len(songs),
        )

    def total(self, chosen: NDArray[np.bool_], size: int) -> NDArray[np.int64]:
        """Return how often each of `size` tokens occurs in the songs `chosen`, bool [songs]."""
        here = chosen[self.song]
        # bincount adds weights as float64, exact up to 2**53 frames.
        return np.bincount(self.token[here], self.count[here], size).astype(np.int64)


def divergence_bits(first: NDArray[np.integer], second: NDArray[np.integer]) -> float:
    """Return the Jensen-Shannon divergence of two histograms, in bits, 0 to 1.

    It is the entropy of the mean of the two distributions less the mean of their entropies (Lin,
    "Divergence Measures Based on the Shannon Entropy", IEEE Transactions on Information Theory
    37(1), 1991, eq. 4.1 with equal weights).

    Args:
        first: counts [n], not all zero.
        second: counts [n], not all zero.
    """
    p, q = first / first.sum(), second / second.sum()
    found = _entropy_bits((p + q) / 2) - (_entropy_bits(p) + _entropy_bits(q)) / 2
    return float(np.clip(found, 0.0, 1.0))


def _entropy_bits(shares: NDArray[np.float64]) -> float:
    present = shares[shares > 0]
    return float(-(present * np.log2(present)).sum())


def pitch_class_table(vocabulary: TokenVocabulary) -> NDArray[np.int64]:
    """Return int64 [V, 12]: how many pitches of each pitch class (0 is C) a token sounds."""
    table = np.zeros((len(vocabulary), PITCH_CLASSES), dtype=np.int64)
    for token, frame in enumerate(vocabulary.decode(np.arange(len(vocabulary)))):
        for pitch in frame:
            table[token, pitch % PITCH_CLASSES] += 1
    return table


def measure_drift(
    counts: TokenCounts,
    held_out: NDArray[np.bool_],
    divisions: int,
    seed: int,
    *,
    size: int,
    table: NDArray[np.int64] | None = None,
) -> Drift | None:
    """Return how far the songs held out lie from the others; None where a side has no counts.

    Args:
        counts: of the songs of both sides.
        held_out: bool [songs].
        divisions: random ones to compare with.
        seed: of the random divisions.
        size: V, of the vocabulary.
        table: int64 [V, b], how much of each token goes into which bin; without it tokens are
            compared, with :func:`pitch_class_table` pitch classes.
    """
    count = int(held_out.sum())
    both = counts.total(np.ones(counts.songs, dtype=bool), size)

    def bits(chosen: NDArray[np.bool_]) -> float:
        here = counts.total(chosen, size)
        sides = [here, both - here]
        if table is not None:
            sides = [side @ table for side in sides]
        return (
            divergence_bits(sides[0], sides[1])
            if all(side.any() for side in sides)
            else float("nan")
        )

    found = bits(held_out)
    if not np.isfinite(found):
        return None
    rng = np.random.default_rng(seed)
    others = np.full(divisions, np.nan)
    for number in range(divisions):
        chosen = np.zeros(counts.songs, dtype=bool)
        chosen[rng.permutation(counts.songs)[:count]] = True
        others[number] = bits(chosen)
    others = others[np.isfinite(others)]
    # The division at hand counts as one of the possible ones, so that chance is never 0.
    as_far = 1 + int(np.count_nonzero(others >= found - 1e-12))
    expected = float(others.mean()) if len(others) else found
    return Drift(found, expected, as_far / (1 + len(others)))
