"""Copied stretches against a search that tries them all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tunesmith.music import TrackChoice, Vocabulary, copying, read_sequence
from tunesmith.music.copying import Copied, copied_stretches, known_stretches, match_lengths

Song = NDArray[np.integer[Any]]
SONGS = st.lists(st.lists(st.integers(0, 2), max_size=24).map(np.array), max_size=4)


def is_found(stretch: list[int], others: list[Song]) -> bool:
    size = len(stretch)
    return any(
        other[at : at + size].tolist() == stretch
        for other in others
        for at in range(len(other) - size + 1)
    )


def by_trying(song: Song, others: list[Song]) -> list[int]:
    lengths = []
    for start in range(len(song)):
        size = 0
        while start + size < len(song) and is_found(
            song[start : start + size + 1].tolist(), others
        ):
            size += 1
        lengths.append(size)
    return lengths


@given(SONGS, SONGS)
def test_matches_are_those_that_trying_finds(songs: list[Song], others: list[Song]) -> None:
    found = match_lengths(songs, others)
    assert [each.tolist() for each in found] == [by_trying(song, others) for song in songs]


@given(SONGS, SONGS, st.integers(1, 30))
def test_with_a_bound_shorter_matches_are_exact(
    songs: list[Song], others: list[Song], most: int
) -> None:
    bounded, whole = match_lengths(songs, others, most), match_lengths(songs, others)
    for some, exact in zip(bounded, whole, strict=True):
        assert np.minimum(some, most).tolist() == np.minimum(exact, most).tolist()


def test_others_may_be_read_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    songs, others = ([random.integers(0, 3, 20) for _ in range(count)] for count in (3, 40))
    whole = match_lengths(songs, others)
    monkeypatch.setattr(copying, "BLOCK_TOKENS", 100)
    for some, exact in zip(match_lengths(songs, iter(others)), whole, strict=True):
        np.testing.assert_array_equal(some, exact)


@given(SONGS, SONGS, st.integers(1, 6))
def test_known_stretches_are_those_that_trying_finds(
    songs: list[Song], others: list[Song], length: int
) -> None:
    for song, matches in zip(songs, match_lengths(songs, others, length), strict=True):
        places = range(len(song) - length + 1)
        stretches = [song[at : at + length].tolist() for at in places]
        counting = [each for each in stretches if np.count_nonzero(np.diff(each)) >= 2]
        known = known_stretches(song, matches, length)
        assert known.stretches == len(counting)
        assert known.known == sum(is_found(each, others) for each in counting)
        assert known.share == known.known / max(1, known.stretches)


@given(SONGS, SONGS, st.integers(1, 5))
def test_stretches_are_summed_up_as_counted_one_by_one(
    songs: list[Song], others: list[Song], least: int
) -> None:
    for song, copied in zip(songs, copied_stretches(songs, others, least), strict=True):
        lengths = by_trying(song, others)
        stretches = [song[start : start + size] for start, size in enumerate(lengths) if size]
        inside = {
            at
            for start, size in enumerate(lengths)
            if size >= least
            for at in range(start, start + size)
        }
        assert copied.longest == max(lengths, default=0)
        assert copied.changes == max(
            (int(np.count_nonzero(np.diff(each))) for each in stretches), default=0
        )
        assert copied.share == len(inside) / max(1, len(song))


def test_a_song_is_a_copy_of_itself_but_a_rest_is_no_theme() -> None:
    song = np.array([1, 2, 3, 4, 0, 0, 0, 0, 5, 6])
    assert copied_stretches([song], [np.array([9]), song], 3) == [Copied(10, 6, 1.0)]
    resting = np.array([7, 0, 0, 0, 0, 8])
    assert copied_stretches([resting], [song], 3) == [Copied(4, 0, 4 / 6)]


def test_a_stretch_does_not_run_from_one_song_into_the_next() -> None:
    assert match_lengths([np.array([1, 2, 3, 4])], [np.array([1, 2]), np.array([3, 4])])[
        0
    ].tolist() == [2, 1, 2, 1]


def test_a_planted_theme_is_found_in_the_papers_songs(jj_lin: Path) -> None:
    frames = [read_sequence(path, TrackChoice("first")) for path in sorted(jj_lin.glob("*.mid"))]
    counts = {frame: 1 for song in frames for frame in song}
    songs = [Vocabulary.from_counts(counts, 5.0).encode(song) for song in frames]
    train, held_out = songs[:18], songs[18:]
    without = copied_stretches(held_out, train, 25)
    planted = [np.concatenate([song[:100], train[3][80:180], song[100:]]) for song in held_out]
    found = copied_stretches(planted, train, 25)
    assert all(100 <= each.longest < 150 for each in found)
    assert all(each.changes < 100 for each in without)
    assert all(b.share > a.share for a, b in zip(without, found, strict=True))
