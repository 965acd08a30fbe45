"""Windows as the paper's text has them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.components.windows import WindowTable
from tunesmith.music import Vocabulary

songs = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=12), min_size=1, max_size=5)


def windows_of(
    songs: Sequence[Sequence[int]], window: int, seed: int | None = None
) -> list[tuple[list[int], int]]:
    table = WindowTable.from_songs([np.array(song, np.int32) for song in songs], window)
    found = []
    for tokens, targets in table.dataset(4, seed).as_numpy_iterator():
        assert tokens.dtype == targets.dtype == np.int32
        found += list(zip(tokens.tolist(), targets.tolist(), strict=True))
    assert len(found) == len(table)
    return found


def test_the_first_window_is_all_rests_and_its_target_the_first_frame() -> None:
    vocabulary = Vocabulary(((), (67,)), 5.0)
    song = vocabulary.encode([(67,), ()]).tolist()
    named = [
        ([vocabulary.names[token] for token in tokens], vocabulary.names[target])
        for tokens, target in windows_of([song], 50)
    ]
    assert named == [(["e"] * 50, "67"), (["e"] * 49 + ["67"], "e")]


def test_a_song_longer_than_a_window_moves_through_it() -> None:
    found = windows_of([[1, 2, 3, 4]], 2)
    assert found == [([0, 0], 1), ([0, 1], 2), ([1, 2], 3), ([2, 3], 4)]


@settings(deadline=None, max_examples=20)
@given(songs)
def test_no_window_reaches_into_another_song(songs: list[list[int]]) -> None:
    expected = [
        (([0] * 6 + song)[index : index + 6], song[index])
        for song in songs
        for index in range(len(song))
    ]
    assert windows_of(songs, 6) == expected


def test_shuffling_mixes_the_songs_and_loses_no_window() -> None:
    songs = [[number] * 40 for number in range(1, 6)]
    ordered, shuffled = windows_of(songs, 3), windows_of(songs, 3, seed=1)
    assert shuffled != ordered
    assert sorted(shuffled) == sorted(ordered)
    assert len({target for _, target in shuffled[:20]}) > 1
    assert windows_of(songs, 3, seed=1) == shuffled


def test_each_epoch_has_an_order_of_its_own() -> None:
    table = WindowTable.from_songs([np.arange(1, 200, dtype=np.int32)], 4)
    dataset = table.dataset(256, shuffle_seed=3)
    first, second = (next(dataset.as_numpy_iterator())[1].tolist() for _ in range(2))
    assert first != second
    assert sorted(first) == sorted(second)
