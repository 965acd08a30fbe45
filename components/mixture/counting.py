"""What followed each context in the training songs, as arrays that a graph can look up.

All contexts of all kinds lie in one table, sorted by their keys (see
:mod:`tunesmith.components.mixture.evidence`), so that one search finds them. numpy alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

CONTEXT_BYTES, FOLLOWER_BYTES = 20, 8
"""Of a context in the table, and of each token that followed it."""

UNSEEN = 0.5
"""What each token's count is raised by in the unigram, so that none is impossible (Krichevsky and
Trofimov 1981)."""


@dataclass(frozen=True)
class ContextTable:
    """Contexts and what followed them.

    Args:
        unigram: float32 [V], share of the training frames, each count raised by :data:`UNSEEN`.
        keys: int64 [contexts], rising.
        entries: int32 [contexts + 1, 3] of each: where what followed it begins in `followers` and
            `counts`, where it ends, and how often the context occurred. The last is no context:
            what stands for one that is not there.
        followers: int32 [m], tokens.
        counts: int32 [m], how often each followed.
    """

    unigram: Floats
    keys: Ints
    entries: NDArray[np.int32]
    followers: NDArray[np.int32]
    counts: NDArray[np.int32]

    @classmethod
    def count(
        cls, unigram: Ints, contexts: Sequence[Occurrences], maximum_bytes: int
    ) -> ContextTable:
        """Count what followed each context.

        Args:
            unigram: int64 [V], how often each token occurred.
            contexts: of each kind of context, whose keys no other has.
            maximum_bytes: of contexts and followers; the contexts that occurred least are left out.
        """
        found = [_counted(each, len(unigram)) for each in contexts]
        names, distinct, totals, followers, counts = (
            np.concatenate(each) for each in zip(*found, strict=True)
        )
        # Stable, so that what is left out does not depend on the machine.
        order = np.argsort(-totals, kind="stable")
        size = np.cumsum(CONTEXT_BYTES + FOLLOWER_BYTES * distinct[order])
        kept = np.sort(order[size <= maximum_bytes])
        kept = kept[np.argsort(names[kept], kind="stable")]
        first, distinct = (np.cumsum(distinct) - distinct)[kept], distinct[kept]
        ends = np.cumsum(distinct)
        places = np.repeat(first - ends + distinct, distinct) + np.arange(distinct.sum())
        entries = np.zeros((len(ends) + 1, 3), np.int32)
        entries[:-1] = np.stack([ends - distinct, ends, totals[kept]], axis=1)
        return cls(
            ((unigram + UNSEEN) / (unigram + UNSEEN).sum()).astype(np.float32),
            names[kept],
            entries,
            followers[places].astype(np.int32),
            counts[places].astype(np.int32),
        )

    @property
    def nbytes(self) -> int:
        """Size of all arrays."""
        arrays = (self.unigram, self.keys, self.entries, self.followers, self.counts)
        return sum(each.nbytes for each in arrays)


class Occurrences(NamedTuple):
    """Where one kind of context occurs in the songs.

    Attributes:
        keys: int64 [m], its key before each frame.
        targets: int64 [m], the frame's token.
        songs: int64 [m], the song; copies of a song in other keys have the same number.
    """

    keys: Ints
    targets: Ints
    songs: Ints

    def chosen(self, mask: NDArray[np.bool_]) -> Occurrences:
        """Return the frames where `mask`, bool [m], is true."""
        return Occurrences(self.keys[mask], self.targets[mask], self.songs[mask])


def _counted(context: Occurrences, size: int) -> tuple[Ints, ...]:
    """Return the contexts' names, distinct followers and totals; and followers and counts."""
    names, number = np.unique(context.keys, return_inverse=True)
    pairs, counts = np.unique(number * size + context.targets, return_counts=True)
    of, followers = np.divmod(pairs, size)
    distinct = np.bincount(of, minlength=len(names))
    return names, distinct, np.bincount(number, minlength=len(names)), followers, counts


class Known(NamedTuple):
    """What one kind of context says of some frames.

    Attributes:
        totals: float32 [k], how often it occurred before each.
        distinct: float32 [k], how many tokens followed it.
        of_target: float32 [k], the frame's probability; 0 where it never occurred.
    """

    totals: Floats
    distinct: Floats
    of_target: Floats


def left_out(context: Occurrences, size: int, some: NDArray[np.integer[Any]]) -> Known:
    """Return what all songs but its own say of some frames of the training songs.

    A song repeats itself far more than it repeats others; counted with its own song, a context
    looks far more reliable than it is (leaving one out, by songs).

    Args:
        context: of all frames.
        size: V.
        some: int64 [k], which of them.
    """
    keys, targets, songs = context
    if not len(keys):
        nothing = np.zeros(len(some), np.float32)
        return Known(nothing, nothing, nothing)
    names, number = np.unique(keys, return_inverse=True)
    pairs, pair, counts = np.unique(
        number * size + targets, return_inverse=True, return_counts=True
    )
    count = int(songs.max(initial=0)) + 1
    in_song, place, own = np.unique(number * count + songs, return_inverse=True, return_counts=True)
    pairs_in_song, pair_place, own_pairs = np.unique(
        pair * count + songs, return_inverse=True, return_counts=True
    )
    of = pairs // size
    distinct = np.bincount(of, minlength=len(names))
    # A token that followed in this song alone is not known without it.
    whose, song = np.divmod(pairs_in_song, count)
    alone = own_pairs == counts[whose]
    missing = np.bincount(
        np.searchsorted(in_song, of[whose[alone]] * count + song[alone]),
        minlength=len(in_song),
    )
    totals = np.bincount(number, minlength=len(names))
    heard = (totals[number[some]] - own[place[some]]).astype(np.float32)
    followed = (counts[pair[some]] - own_pairs[pair_place[some]]).astype(np.float32)
    others = (distinct[number[some]] - missing[place[some]]).astype(np.float32)
    return Known(heard, others, followed / np.maximum(heard, 1))
