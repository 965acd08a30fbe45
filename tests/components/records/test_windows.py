"""Windows as the paper's text has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tunesmith.components.errors import ComponentError
from tunesmith.components.records.song_index import SongIndex
from tunesmith.components.records.songs import write_tokens
from tunesmith.components.records.tfrecord import read_tokens
from tunesmith.components.records.windows import (
    Shuffle,
    Windows,
    WindowStream,
    WindowTable,
    open_windows,
)
from tunesmith.music import Vocabulary

Window = tuple[list[int], int]
Tokens = NDArray[np.int32]

songs = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=12), min_size=1, max_size=5)


def collected(
    windows: Windows, shuffle: Shuffle | None = None, batch: int = 4, first_step: int = 0
) -> list[Window]:
    """Return every window of a pass that is no filling."""
    found = []
    for tokens, targets, weight in windows.batches(batch, shuffle, first_step).as_numpy_iterator():
        assert tokens.dtype == targets.dtype == np.int32
        assert (len(tokens), len(targets)) == (batch, batch)
        assert sorted(weight, reverse=True) == weight.tolist()
        present = int(weight.sum())
        found += list(zip(tokens[:present].tolist(), targets[:present].tolist(), strict=True))
    assert len(found) == len(windows) - first_step * batch
    return found


def windows_of(
    songs: Sequence[Sequence[int]], window: int, shuffle: Shuffle | None = None
) -> list[Window]:
    table = WindowTable.from_songs([np.array(song, np.int32) for song in songs], window, (0,))
    return collected(table, shuffle)


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
    assert sorted(windows_of(songs, 6)) == sorted(expected)


@pytest.mark.parametrize("memory", [10**9, 2000])
def test_every_position_has_the_next_token_as_its_target_but_before_the_song(
    tmp_path: Path, memory: int
) -> None:
    # Rests of the song itself, at a window's beginning, are targets like any other.
    songs = [[5, 0, 0, 0, 0, 0, 0, 7, 1], [2], *([number, 0, 3] * 9 for number in range(1, 9))]
    window, batch = 4, 8
    expected = []
    for song in songs:
        padded = [0] * window + song
        for index in range(len(song)):
            weight = [float(index + t + 1 >= window) / window for t in range(window)]
            span = padded[index : index + window + 1]
            expected.append((span[:-1], span[1:], weight))
    shards = write_shards(tmp_path, [np.array(song) for song in songs], shards=2)
    found, filling = [], 0
    windows = open_windows(SongIndex.of(shards), window, (0,), memory)
    for tokens, targets, weight in windows.batches(
        batch, Shuffle(1, 0), 0, "every"
    ).as_numpy_iterator():
        assert tokens.shape == targets.shape == weight.shape == (batch, window)
        for row in zip(tokens.tolist(), targets.tolist(), weight.tolist(), strict=True):
            if row[2][-1]:
                found.append(row)
            else:
                assert not any(row[2])
                filling += 1
    assert sorted(found) == sorted(expected)
    assert filling == -len(expected) % batch


def test_shuffling_mixes_the_songs_and_loses_no_window() -> None:
    songs = [[number] * 40 for number in range(1, 6)]
    ordered, shuffled = windows_of(songs, 3), windows_of(songs, 3, Shuffle(1, 0))
    assert shuffled != ordered
    assert sorted(shuffled) == sorted(ordered)
    assert len({target for _, target in shuffled[:20]}) > 1
    assert windows_of(songs, 3, Shuffle(1, 0)) == shuffled


@pytest.mark.parametrize("memory", [10**9, 2000])
def test_each_epoch_and_seed_has_an_order_of_its_own(corpus: list[Path], memory: int) -> None:
    windows = open_windows(SongIndex.of(corpus), 4, (0,), memory)
    orders = [
        collected(windows, shuffle) for shuffle in (Shuffle(3, 0), Shuffle(3, 1), Shuffle(4, 0))
    ]
    assert len({str(order) for order in orders}) == 3
    assert sorted(orders[0]) == sorted(orders[1]) == sorted(orders[2])


@pytest.mark.parametrize("memory", [10**9, 2000])
def test_the_order_does_not_depend_on_where_songs_lie(
    corpus: list[Path], tmp_path: Path, memory: int
) -> None:
    songs = [song for shard in corpus for song in read_tokens([shard])]
    elsewhere = write_shards(tmp_path, songs[::-1], shards=2)
    first, second = (
        collected(open_windows(SongIndex.of(shards), 4, (0,), memory), Shuffle(1, 2))
        for shards in (corpus, elsewhere)
    )
    assert first == second
    here, there = SongIndex.of(corpus), SongIndex.of(elsewhere)
    assert here.digest == there.digest
    assert [song.tolist() for song in here.in_order()] == [s.tolist() for s in there.in_order()]
    assert sorted(map(len, here.in_order())) == sorted(map(len, songs))
    assert SongIndex.of(corpus[:2]).digest != SongIndex.of(corpus).digest


@pytest.mark.parametrize("memory", [10**9, 2000])
def test_a_pass_can_start_at_any_step(corpus: list[Path], memory: int) -> None:
    windows = open_windows(SongIndex.of(corpus), 4, (0,), memory)
    whole = collected(windows, Shuffle(5, 1))
    steps = -(-len(windows) // 4)
    for first in (1, 17, 100, steps - 1):
        assert collected(windows, Shuffle(5, 1), first_step=first) == whole[first * 4 :]
    assert collected(windows, None, first_step=3) == collected(windows)[12:]


def test_what_fits_is_a_table_and_what_does_not_a_stream(corpus: list[Path]) -> None:
    index = SongIndex.of(corpus)
    assert isinstance(open_windows(index, 4, (0,), 10**9), WindowTable)
    stream = open_windows(index, 4, (0,), 2000)
    assert isinstance(stream, WindowStream)
    assert len(stream) == index.tokens == len(open_windows(index, 4, (0,), 10**9))


def test_a_block_of_a_stream_draws_from_all_shards(corpus: list[Path]) -> None:
    stream = open_windows(SongIndex.of(corpus), 4, (0,), 32 * 150)
    assert isinstance(stream, WindowStream)
    # The tokens of song n are n alone, and a shard holds ten songs in a row.
    first = {target // 10 for _, target in collected(stream, Shuffle(0, 0))[:150]}
    assert len(first) >= 3
    blocks = [collected(stream, Shuffle(0, epoch))[:150] for epoch in (0, 1)]
    assert {target for _, target in blocks[0]} != {target for _, target in blocks[1]}


def test_a_damaged_shard_is_named(corpus: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "train-00000-of-00001.tfrecord"
    content = bytearray(corpus[0].read_bytes())
    content[40] ^= 255
    broken.write_bytes(content)
    with pytest.raises(ComponentError, match=f"{broken} is damaged .*execute Transform again"):
        SongIndex.of([broken])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Forty songs in four shards; the tokens of song n are n, 10 to 49 of them."""
    songs = [np.full(10 + number, number, np.int32) for number in range(40)]
    return write_shards(tmp_path_factory.mktemp("corpus"), songs, shards=4)


def write_shards(folder: Path, songs: Sequence[Tokens], shards: int) -> list[Path]:
    paths = [folder / f"train-{number:05}-of-{shards:05}.tfrecord" for number in range(shards)]
    size = -(-len(songs) // shards)
    for number, path in enumerate(paths):
        with tf.io.TFRecordWriter(str(path)) as writer:
            for song in songs[number * size : (number + 1) * size]:
                writer.write(write_tokens(f"{folder.name}-{song[0]}".encode(), song, 5.0))
    return paths
