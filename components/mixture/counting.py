"""Counts of the tokens after each context in the training songs, as arrays for a graph.

All contexts of all kinds lie in one table, sorted by their keys (see
:mod:`tunesmith.components.mixture.evidence`), so that one search finds them. numpy alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.ngram.counting import ranges

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

CONTEXT_BYTES, FOLLOWER_BYTES = 20, 8
"""Bytes of a context in the table, and of each of its followers."""

UNSEEN = 0.5
"""Added to each token's count in the unigram, so that no probability is zero (Krichevsky and
Trofimov 1981)."""


@dataclass(frozen=True)
class ContextTable:
    """Contexts and their followers.

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
        cls,
        unigram: Ints,
        contexts: Sequence[Occurrences],
        maximum_bytes: int,
        base: ContextTable | None = None,
    ) -> ContextTable:
        """Count what followed each context.

        Args:
            unigram: int64 [V], how often each token occurred.
            contexts: of each kind of context, whose keys no other has.
            maximum_bytes: of contexts and followers; the contexts that occurred least are left out,
                and those that `base` alone has before any other.
            base: counted before, in other songs, whose occurrences are added.
        """
        found = [_counted(each, len(unigram)) for each in contexts]
        names, distinct, totals, followers, counts = (
            np.concatenate(each) for each in zip(*found, strict=True)
        )
        foreign = np.zeros(len(names), bool)
        if base is not None:
            own = names
            names, distinct, totals, followers, counts = _added(
                (names, distinct, followers, counts), base, len(unigram)
            )
            foreign = ~np.isin(names, own)
        # Stable, so that what is left out does not depend on the machine.
        order = np.lexsort((-totals, foreign))
        size = np.cumsum(CONTEXT_BYTES + FOLLOWER_BYTES * distinct[order])
        kept = np.sort(order[size <= maximum_bytes])
        kept = kept[np.argsort(names[kept], kind="stable")]
        first, distinct = (np.cumsum(distinct) - distinct)[kept], distinct[kept]
        ends = np.cumsum(distinct)
        places = ranges(first, distinct)
        entries = np.zeros((len(ends) + 1, 3), np.int32)
        entries[:-1] = np.stack([ends - distinct, ends, totals[kept]], axis=1)
        return cls(
            ((unigram + UNSEEN) / (unigram + UNSEEN).sum()).astype(np.float32),
            names[kept],
            entries,
            followers[places].astype(np.int32),
            counts[places].astype(np.int32),
        )

    @classmethod
    def from_export(cls, variables: Mapping[str, NDArray[Any]], size: int) -> ContextTable | None:
        """Return the table of an exported mixture, its unigram unknown; None if there is none.

        Args:
            variables: of :class:`tunesmith.components.mixture.mixture.Mixture` by name.
            size: V.
        """
        try:
            keys, entries, followers, counts = (
                variables[f"_counted/_{name}"]
                for name in ("keys", "entries", "followers", "counts")
            )
        except KeyError:
            return None
        unigram = np.full(size, 1 / size, np.float32)
        # The last key is no context's.
        return cls(unigram, keys.view(np.int64)[:-1], entries, followers, counts)

    def look_up(self, names: Ints, pairs: Ints, size: int) -> tuple[Ints, Ints, Ints]:
        """Return what the table says of some contexts, and of tokens that follow them.

        Args:
            names: int64 [k], the contexts' keys.
            pairs: int64 [m], (place in `names`) * `size` + token.
            size: V.

        Returns:
            int64 [k] how often each context occurred, int64 [k] how many tokens followed it, and
            int64 [m] how often each pair's token did.
        """
        if not len(self.keys):
            return np.zeros(len(names), int), np.zeros(len(names), int), np.zeros(len(pairs), int)
        place = np.minimum(np.searchsorted(self.keys, names), len(self.keys) - 1)
        there = self.keys[place] == names
        entries = self.entries[place].astype(np.int64) * there[:, None]
        distinct = entries[:, 1] - entries[:, 0]
        rows = ranges(entries[:, 0], distinct)
        known = np.repeat(np.arange(len(names)), distinct) * size + self.followers[rows]
        counts = np.zeros(len(pairs), np.int64)
        if len(known):
            # What followed a context lies in the order of the tokens.
            at = np.minimum(np.searchsorted(known, pairs), len(known) - 1)
            counts = np.where(known[at] == pairs, self.counts[rows[at]], 0).astype(np.int64)
        return entries[:, 2], distinct, counts

    @property
    def nbytes(self) -> int:
        """Size of all arrays."""
        arrays = (self.unigram, self.keys, self.entries, self.followers, self.counts)
        return sum(each.nbytes for each in arrays)


class Occurrences(NamedTuple):
    """The occurrences of one kind of context in the songs.

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


def _added(found: tuple[Ints, Ints, Ints, Ints], base: ContextTable, size: int) -> tuple[Ints, ...]:
    """Return what :func:`_counted` does, with the occurrences of a table added.

    Args:
        found: names, distinct followers, followers and counts.
        base: the table.
        size: V.
    """
    names, distinct, followers, counts = found
    of_base = (base.entries[:-1, 1] - base.entries[:-1, 0]).astype(np.int64)
    keys = np.concatenate([np.repeat(names, distinct), np.repeat(base.keys, of_base)])
    names, number = np.unique(keys, return_inverse=True)
    followers = np.concatenate([followers, base.followers[: of_base.sum()]])
    pairs, place = np.unique(number * size + followers, return_inverse=True)
    weights = np.concatenate([counts, base.counts[: of_base.sum()]])
    counts = np.bincount(place, weights=weights, minlength=len(pairs)).astype(np.int64)
    of, followers = np.divmod(pairs, size)
    distinct = np.bincount(of, minlength=len(names))
    totals = np.bincount(of, weights=counts, minlength=len(names)).astype(np.int64)
    return names, distinct, totals, followers, counts


class ContextStatistics(NamedTuple):
    """The statistics of one kind of context for some frames.

    Attributes:
        totals: float32 [k], occurrences of the context before each.
        distinct: float32 [k], number of distinct followers.
        of_target: float32 [k], the frame's probability; 0 where it never occurred.
    """

    totals: Floats
    distinct: Floats
    of_target: Floats


def left_out(
    context: Occurrences,
    size: int,
    some: NDArray[np.integer[Any]],
    base: ContextTable | None = None,
) -> ContextStatistics:
    """Return the statistics for some frames of the training songs from all other songs.

    A song repeats itself far more than it repeats others; with its own song counted, a context
    would look far more reliable than it is (leave-one-out by songs).

    Args:
        context: of all frames.
        size: V.
        some: int64 [k], which of them.
        base: counted in other songs, which are never left out.
    """
    keys, targets, songs = context
    if not len(keys):
        nothing = np.zeros(len(some), np.float32)
        return ContextStatistics(nothing, nothing, nothing)
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
    base_totals, base_distinct, base_counts = np.zeros((3, 1), np.int64)
    new = np.ones(len(pairs), bool)
    if base is not None:
        base_totals, base_distinct, base_counts = base.look_up(names, pairs, size)
        new = base_counts == 0
    distinct = np.bincount(of[new], minlength=len(names))
    # A token that followed in this song alone is not known without it.
    whose, song = np.divmod(pairs_in_song, count)
    alone = (own_pairs == counts[whose]) & new[whose]
    missing = np.bincount(
        np.searchsorted(in_song, of[whose[alone]] * count + song[alone]),
        minlength=len(in_song),
    )
    totals = np.bincount(number, minlength=len(names)) + base_totals
    distinct, counts = distinct + base_distinct, counts + base_counts
    remaining = (totals[number[some]] - own[place[some]]).astype(np.float32)
    followed = (counts[pair[some]] - own_pairs[pair_place[some]]).astype(np.float32)
    others = (distinct[number[some]] - missing[place[some]]).astype(np.float32)
    return ContextStatistics(remaining, others, followed / np.maximum(remaining, 1))
