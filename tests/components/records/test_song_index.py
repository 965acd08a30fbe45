"""Which songs belong together, and which are held out for validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tunesmith.components.records.song_index import SongIndex
from tunesmith.components.records.songs import write_tokens
from tunesmith.components.records.window_sample import WindowSample
from tunesmith.components.records.windows import open_windows

Song = tuple[bytes, list[int]]


def index_of(folder: Path, songs: list[Song], shards: int = 1) -> SongIndex:
    paths = [folder / f"train-{number:05}-of-{shards:05}.tfrecord" for number in range(shards)]
    for number, path in enumerate(paths):
        with tf.io.TFRecordWriter(str(path)) as writer:
            for song_id, tokens in songs[number::shards]:
                writer.write(write_tokens(song_id, np.array(tokens), 5.0))
    return SongIndex.of(paths)


def in_keys(number: int) -> list[Song]:
    """A song of its own tokens and its copies two semitones down and one up."""
    return [
        (b"%d.mid%s" % (number, suffix), [3 * number + key] * (5 + number))
        for key, suffix in enumerate((b"", b"@-2", b"@+1"))
    ]


@pytest.fixture
def ten(tmp_path: Path) -> SongIndex:
    return index_of(tmp_path, [song for number in range(10) for song in in_keys(number)], 3)


def tokens_of(index: SongIndex) -> list[int]:
    return [int(song[0]) for song in index.in_order()]


def test_a_song_and_its_copies_in_other_keys_are_one_group(ten: SongIndex) -> None:
    first = tokens_of(ten)
    assert len(set(ten.groups.tolist())) == 10
    for token, group, original in zip(first, ten.groups, ten.original, strict=True):
        assert original == (token % 3 == 0)
        same = {each // 3 for each, other in zip(first, ten.groups, strict=True) if other == group}
        assert same == {token // 3}
    # Numbers follow the index's order.
    _, seen = np.unique(ten.groups, return_index=True)
    assert (np.diff(seen) > 0).all()


def test_songs_that_are_copies_of_one_another_are_one_group(tmp_path: Path) -> None:
    # b is a, two semitones higher; c only looks as if it were a copy.
    songs = [(b"a", [1, 2]), (b"a@+2", [3, 4]), (b"b", [3, 4]), (b"b@-2", [1, 2]), (b"c@2", [5])]
    index = index_of(tmp_path, songs)
    assert len(set(index.groups.tolist())) == 2
    assert index.original.sum() == 3
    learned, cut = index.split_off(0.5)
    assert len(cut) == 1
    assert not set(map(bytes, learned.in_order())) & set(map(bytes, cut.in_order()))


def test_the_songs_set_aside_are_in_their_own_key_and_no_copy_of_them_is_learned(
    ten: SongIndex,
) -> None:
    learned, cut = ten.split_off(0.2)
    assert len(cut) == 2
    assert len(learned) == 24
    assert cut.original.all()
    assert not set(cut.groups.tolist()) & set(learned.groups.tolist())
    assert not {token // 3 for token in tokens_of(cut)} & {
        token // 3 for token in tokens_of(learned)
    }
    assert learned.tokens == sum(map(len, learned.in_order()))
    assert len({ten.digest, learned.digest, cut.digest}) == 3


def test_which_songs_are_set_aside_does_not_depend_on_where_they_lie(tmp_path: Path) -> None:
    songs = [song for number in range(10) for song in in_keys(number)]
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    one = index_of(tmp_path / "one", songs).split_off(0.3)
    other = index_of(tmp_path / "other", songs[::-1], 4).split_off(0.3)
    for here, there in zip(one, other, strict=True):
        assert tokens_of(here) == tokens_of(there)
        assert here.digest == there.digest
        assert here.groups.tolist() == there.groups.tolist()


@pytest.mark.parametrize(("songs", "share", "expected"), [(1, 0.1, 0), (2, 0.1, 1), (3, 0, 0)])
def test_one_song_at_least_is_judged_and_one_is_learned(
    tmp_path: Path, songs: int, share: float, expected: int
) -> None:
    index = index_of(tmp_path, [song for number in range(songs) for song in in_keys(number)])
    learned, cut = index.split_off(share)
    assert len(cut) == expected
    assert len(learned) == 3 * (songs - expected)


def test_a_sample_has_windows_from_everywhere_as_they_are_in_the_songs(ten: SongIndex) -> None:
    whole = WindowSample.of(ten, 4, (0,), 10**6)
    table = open_windows(ten, 4, (0,), 10**9)
    (expected,) = table.batches(ten.tokens).as_numpy_iterator()
    np.testing.assert_array_equal(whole.windows, expected[0])
    np.testing.assert_array_equal(whole.targets, expected[1])
    some = WindowSample.of(ten, 4, (0,), 40)
    assert 36 <= len(some) <= 40
    # Three windows of 285 in four are left out, evenly: hardly any song of 5 to 14 has none.
    assert len(set(some.targets.tolist())) >= 25
    assert rows(some) <= rows(whole)


def rows(sample: WindowSample) -> set[tuple[tuple[int, ...], int]]:
    windows = map(tuple, sample.windows.tolist())
    return set(zip(windows, sample.targets.tolist(), strict=True))


def test_a_sample_comes_in_batches_of_one_shape(ten: SongIndex) -> None:
    sample = WindowSample.of(ten, 4, (0,), 20)
    batches = list(sample.batches(16).as_numpy_iterator())
    assert [windows.shape for windows, _, _ in batches] == [(16, 4)] * 2
    assert sum(weight.sum() for _, _, weight in batches) == len(sample)
