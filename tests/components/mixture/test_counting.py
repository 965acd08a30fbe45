"""The table of contexts against counting with a dictionary."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.components.mixture.counting import (
    CONTEXT_BYTES,
    FOLLOWER_BYTES,
    UNSEEN,
    ContextTable,
    Occurrences,
    left_out,
)

SIZE = 4
ENOUGH = 2**20


def contexts(count: int, seed: int, distinct: int = 6) -> list[Occurrences]:
    """Return three kinds of context of frames that have much in common."""
    random = np.random.default_rng(seed)
    # As wide as hashes are, of both signs, and of no two columns alike.
    values = random.integers(-(2**63), 2**63 - 1, (3, distinct))
    targets, songs = random.integers(0, SIZE, count), np.sort(random.integers(0, 4, count))
    found = [column[random.integers(0, distinct, count)] for column in values]
    # The last occurs less often than the others.
    return [
        Occurrences(keys[skipped:], targets[skipped:], songs[skipped:])
        for keys, skipped in zip(found, (0, 0, count // 2), strict=True)
    ]


def counted(found: Sequence[Occurrences]) -> dict[int, Counter[int]]:
    result: dict[int, Counter[int]] = defaultdict(Counter)
    for keys, targets, _ in found:
        for key, target in zip(keys.tolist(), targets.tolist(), strict=True):
            result[key][target] += 1
    return result


def contents(table: ContextTable) -> dict[int, Counter[int]]:
    """Return what a table holds, and check that its arrays agree."""
    found = {}
    for key, (first, end, total) in zip(
        table.keys.tolist(), table.entries[:-1].tolist(), strict=True
    ):
        followers = table.followers[first:end].tolist()
        found[key] = Counter(dict(zip(followers, table.counts[first:end].tolist(), strict=True)))
        assert len(found[key]) == end - first > 0
        assert found[key].total() == total
    assert (table.keys[1:] > table.keys[:-1]).all()
    # What stands for a context that is not there says nothing.
    first, end, total = table.entries[-1].tolist()
    assert first == end
    assert total == 0
    return found


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(0, 2**32))
def test_a_table_holds_what_followed_each_context(count: int, seed: int) -> None:
    found = contexts(count, seed)
    occurred = np.random.default_rng(seed).integers(0, 9, SIZE)
    table = ContextTable.count(occurred, found, ENOUGH)
    assert contents(table) == counted(found)
    raised = occurred + UNSEEN
    np.testing.assert_allclose(table.unigram, raised / raised.sum(), rtol=1e-6)
    dtypes = [each.dtype for each in (table.unigram, table.entries, table.followers, table.counts)]
    assert dtypes == [np.float32, np.int32, np.int32, np.int32]


@pytest.mark.parametrize("maximum_bytes", [0, 27, 28, 100, 400, 1000])
def test_a_small_table_keeps_the_contexts_that_occur_most(maximum_bytes: int) -> None:
    # Some contexts occur far more often than others.
    random = np.random.default_rng(1)
    found = [
        Occurrences(
            np.minimum(random.geometric(0.2, 300), 20) + first,
            random.integers(0, SIZE, 300),
            np.zeros(300, np.int64),
        )
        for first in (0, 100)
    ]
    every = counted(found)
    table = ContextTable.count(np.ones(SIZE, np.int64), found, maximum_bytes)
    kept = contents(table)
    for key, followers in kept.items():
        assert followers == every[key]
    size = sum(CONTEXT_BYTES + FOLLOWER_BYTES * len(each) for each in kept.values())
    assert size <= maximum_bytes
    assert table.nbytes == size + table.unigram.nbytes + table.entries[-1:].nbytes
    left = [followers for key, followers in every.items() if key not in kept]
    assert min((each.total() for each in kept.values()), default=ENOUGH) >= max(
        each.total() for each in left
    )
    # No more would have fitted than the next one in order.
    assert size + CONTEXT_BYTES + FOLLOWER_BYTES * SIZE > maximum_bytes


def test_the_same_frames_in_another_order_make_the_same_table() -> None:
    found = contexts(200, 2, distinct=40)
    random = np.random.default_rng(0)
    shuffled = [
        Occurrences(*(column[order] for column in each))
        for each in found
        for order in [random.permutation(len(each.keys))]
    ]
    first, second = (
        ContextTable.count(np.ones(SIZE, np.int64), each, 600) for each in (found, shuffled)
    )
    for name in ("unigram", "keys", "entries", "followers", "counts"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_a_context_that_never_occurs_is_no_hindrance() -> None:
    nothing = Occurrences(*(np.zeros(0, np.int64) for _ in range(3)))
    table = ContextTable.count(np.zeros(SIZE, np.int64), [nothing, nothing], ENOUGH)
    assert contents(table) == {}
    np.testing.assert_allclose(table.unigram, 1 / SIZE)
    known = left_out(nothing, SIZE, np.arange(3))
    for each in known:
        assert each.tolist() == [0, 0, 0]


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 60), st.integers(0, 2**32), st.data())
def test_a_frame_is_judged_by_all_songs_but_its_own(
    count: int, seed: int, data: st.DataObject
) -> None:
    for context in contexts(count, seed):
        places = st.integers(0, len(context.keys) - 1)
        some = np.array(data.draw(st.lists(places, min_size=1, max_size=9, unique=True)))
        known = left_out(context, SIZE, some)
        assert [each.dtype for each in known] == [np.float32] * 3
        for row, frame in enumerate(some.tolist()):
            elsewhere = context.chosen(context.songs != context.songs[frame])
            followers = counted([elsewhere])[int(context.keys[frame])]
            assert known.totals[row] == followers.total()
            assert known.distinct[row] == len(followers)
            expected = followers[int(context.targets[frame])] / max(followers.total(), 1)
            assert known.of_target[row] == pytest.approx(expected, rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 60), st.integers(0, 2**32), st.integers(1, 3))
def test_what_another_corpus_counted_is_added(count: int, seed: int, parent_songs: int) -> None:
    """As if its songs were there, too, and never the one that is left out."""
    every = contexts(count, seed)
    split = [each.songs < parent_songs for each in every]
    before = [each.chosen(mask) for each, mask in zip(every, split, strict=True)]
    after = [each.chosen(~mask) for each, mask in zip(every, split, strict=True)]
    ones = np.ones(SIZE, np.int64)
    base = ContextTable.count(ones, before, ENOUGH)
    assert contents(ContextTable.count(ones, after, ENOUGH, base)) == counted(every)
    for whole, part, mask in zip(every, after, split, strict=True):
        some = np.arange(len(part.keys))
        expected = left_out(whole, SIZE, np.flatnonzero(~mask))
        if len(some):
            for one, other in zip(left_out(part, SIZE, some, base), expected, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-6)


def test_contexts_of_the_songs_are_kept_before_those_of_another_corpus() -> None:
    zeros = np.zeros(9, np.int64)
    base = ContextTable.count(np.ones(SIZE, np.int64), [Occurrences(zeros + 5, zeros, zeros)], 99)
    song = Occurrences(zeros[:1] + 7, zeros[:1], zeros[:1])
    table = ContextTable.count(
        np.ones(SIZE, np.int64), [song], CONTEXT_BYTES + FOLLOWER_BYTES, base
    )
    assert contents(table) == {7: Counter({0: 1})}


def test_a_single_song_knows_nothing_of_itself() -> None:
    (context, *_) = contexts(50, 3)
    alone = context._replace(songs=np.zeros(50, np.int64))
    for each in left_out(alone, SIZE, np.arange(50)):
        assert not each.any()


def test_copies_in_other_keys_are_one_song() -> None:
    # Two copies of a song, and another that has one frame in common with them.
    copies = Occurrences(
        np.array([1, 2, 1, 2, 1]), np.array([0, 1, 0, 1, 3]), np.array([0, 0, 0, 0, 1])
    )
    known = left_out(copies, SIZE, np.arange(5))
    assert known.totals.tolist() == [1, 0, 1, 0, 2]
    assert known.of_target.tolist() == [0, 0, 0, 0, 0]
