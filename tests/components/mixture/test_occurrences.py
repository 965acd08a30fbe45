"""Where contexts occur: in the songs as they are, and in every key that the vocabulary knows."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from tunesmith.components.mixture.counting import Occurrences
from tunesmith.components.mixture.evidence import CONTEXTS, KINDS, find_evidence
from tunesmith.components.mixture.occurrences import TrainingSongs, find_contexts
from tunesmith.components.mixture.transposition import ALL_KEYS, UNKNOWN, transposed
from tunesmith.components.records.eval_windows import EvalWindows
from tunesmith.music import Vocabulary

WINDOW, RESTS = 12, (0,)
ALL_PITCHES = Vocabulary(((), *((pitch,) for pitch in range(128))), 5.0).names
"""Token p + 1 is the pitch p."""


def songs_of(tokens: list[NDArray[np.int64]], own: list[bool]) -> TrainingSongs:
    held = EvalWindows.of(tokens, WINDOW, RESTS)
    lengths = [len(song) for song in tokens]
    fitted = np.flatnonzero(np.repeat(own, lengths))
    return TrainingSongs(held, np.repeat(np.arange(len(tokens)), lengths), fitted, fitted[:0])


def melodies(count: int) -> list[NDArray[np.int64]]:
    random = np.random.default_rng(count)
    pitches = [random.integers(60, 66, 15) for _ in range(count)]
    songs = [np.repeat(each + 1, random.integers(1, 4, 15)) for each in pitches]
    songs[0][4:9] = 0
    return songs


def occurrences(context: Occurrences) -> Counter[tuple[int, int, int]]:
    return Counter(zip(*(column.tolist() for column in context), strict=True))


def counted(songs: list[NDArray[np.int64]]) -> list[Counter[tuple[int, int, int]]]:
    """Return (key, target, song) of each frame, of every kind of context."""
    held = EvalWindows.of(songs, WINDOW, RESTS)
    keys = find_evidence(tf.constant(held.windows(slice(None))), RESTS).keys.numpy()
    numbers = np.repeat(np.arange(len(songs)), [len(song) for song in songs])
    rest = held.targets.tolist(), numbers.tolist()
    return [Counter(zip(column.tolist(), *rest, strict=True)) for column in keys.T]


def test_contexts_occur_where_windows_have_their_keys() -> None:
    songs = melodies(3)
    found = find_contexts(songs_of(songs, [True, True, False]), ALL_PITCHES, RESTS)
    assert len(found) == len(CONTEXTS)
    own = slice(len(KINDS))
    assert [occurrences(each) for each in found[own]] == counted(songs)[own]


def test_contexts_of_all_keys_are_those_of_the_songs_played_in_each() -> None:
    songs = melodies(3)
    # The second is taken for a copy in another key: what is in all keys has it already.
    found = find_contexts(songs_of(songs, [True, False, True]), ALL_PITCHES, RESTS)
    songs[1] = songs[1][:0]
    expected = [Counter[tuple[int, int, int]]() for _ in CONTEXTS]
    for semitones in ALL_KEYS:
        played = counted([np.where(song == 0, 0, song + semitones) for song in songs])
        expected = [one + other for one, other in zip(expected, played, strict=True)]
    all_keys = slice(len(KINDS), None)
    assert [occurrences(each) for each in found[all_keys]] == expected[all_keys]


def test_contexts_of_all_keys_begin_with_the_songs_own() -> None:
    songs = songs_of(melodies(2), [True, True])
    found = find_contexts(songs, ALL_PITCHES, RESTS)
    for context in found[len(KINDS) :]:
        own = context.targets[: len(songs.fitted)]
        np.testing.assert_array_equal(own, songs.held.targets[songs.fitted])


def test_a_context_is_not_counted_in_keys_that_lack_its_frames() -> None:
    names = Vocabulary(((), (60,), (61,), (70,)), 5.0).names
    # 60 60 61 70: of the other keys, one semitone up knows 60 as 61, one down 61 as 60.
    songs = songs_of([np.array([1, 1, 2, 3])], [True])
    context = dict(zip(CONTEXTS, find_contexts(songs, names, RESTS), strict=True))
    one = occurrences(context["frames 1, all keys"])
    targets = Counter(target for _, target, _ in one.elements())
    # As it is; and one semitone up the first two of the four frames: 61 after padding, 61 after 61.
    # One down 61 is 60, but what comes before it, 60, is not known there.
    assert targets == Counter([1, 1, 2, 3, 2, 2])


def test_many_songs_are_counted_in_their_own_keys_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    songs = songs_of(melodies(2), [True, True])
    every = len(ALL_KEYS) * len(songs.fitted)
    for most, keys in ((every, len(ALL_KEYS)), (every - 1, 0)):
        monkeypatch.setattr("tunesmith.components.mixture.occurrences.ALL_KEYS_FRAMES", most)
        found = find_contexts(songs, ALL_PITCHES, RESTS)
        assert {len(each.keys) for each in found[len(KINDS) :]} == {keys * len(songs.fitted)}
        assert {len(each.keys) for each in found[: len(KINDS)]} == {len(songs.held)}


def test_tokens_are_transposed_by_their_names() -> None:
    names = ["e", "60", "62", "60,64", "62,66", "melody:62", "melody:64", "melody:e"]
    assert transposed(names, 0).tolist() == list(range(8))
    up = dict(zip(names, transposed(names, 2).tolist(), strict=True))
    assert up["e"] == 0
    assert up["60"] == names.index("62")
    assert up["62"] == UNKNOWN
    assert up["60,64"] == names.index("62,66")
    assert up["melody:62"] == names.index("melody:64")
    assert up["melody:e"] == names.index("melody:e")
    back = transposed(names, -2)
    assert [back[after] for after in up.values() if after != UNKNOWN] == [
        before for before, after in enumerate(up.values()) if after != UNKNOWN
    ]


def test_each_key_is_one_of_twelve() -> None:
    assert sorted(semitones % 12 for semitones in ALL_KEYS) == list(range(12))
    assert ALL_KEYS[0] == 0
