"""The sampling that is recommended makes songs like the training songs, in the time given."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tunesmith.components.sampling import RecommendedSampling
from tunesmith.components.saved_predictor import SavedPredictor
from tunesmith.components.trainer.recommended_sampling import (
    CANDIDATES,
    OWN_DISTRIBUTION,
    ROUNDS,
    Draw,
    distance,
    draw_by_signature,
    recommend_sampling,
    time_for_sampling,
)
from tunesmith.music import Frame

Song = Sequence[Frame]


def walk(
    samplings: Sequence[RecommendedSampling], seeds: Sequence[int], steps: int = 100
) -> list[Song]:
    """Return melodies whose notes are shorter and leap further the freer they are drawn."""
    songs: list[Song] = []
    for sampling, seed in zip(samplings, seeds, strict=True):
        random = np.random.default_rng(seed)
        freedom = sampling.temperature * sampling.top_p
        moves = random.random(steps) < freedom**3 / 2
        pitches = 60 + np.cumsum(moves * np.rint(random.normal(0, 8 * freedom**3, steps))) % 40
        songs.append([(int(pitch),) for pitch in pitches])
    return songs


class Clock:
    """A clock on which a frame takes as long as it is told."""

    def __init__(self, seconds_a_frame: float) -> None:
        self.now = 100.0
        self._seconds = seconds_a_frame

    def __call__(self) -> float:
        return self.now

    def draw(
        self, samplings: Sequence[RecommendedSampling], seeds: Sequence[int], steps: int
    ) -> list[Song]:
        self.now += steps * len(seeds) * self._seconds
        return walk(samplings, seeds, steps)


@pytest.mark.parametrize("true", [CANDIDATES[3], CANDIDATES[6], CANDIDATES[11]])
def test_the_sampling_that_the_corpus_was_drawn_with_is_found(true: RecommendedSampling) -> None:
    corpus = walk([true] * 60, range(1000, 1060))
    found = recommend_sampling(walk, corpus, seed=1, seconds=1000.0, steps=100)
    freedom = found.sampling.temperature * found.sampling.top_p
    assert freedom == pytest.approx(true.temperature * true.top_p, abs=0.05)
    assert {each.sampling for each in found.tried} == set(CANDIDATES)
    assert found.tried[0].sampling == found.sampling
    assert found.tried[0].songs == sum(songs for _, songs in ROUNDS)
    assert found.tried[0].distance < 0.05 < found.tried[-1].distance
    assert found.tried[0].within["leap_share"] > 0.8
    assert found.tried[-1].within["leap_share"] < 0.8


def test_with_time_enough_the_seed_decides() -> None:
    corpus = walk([CANDIDATES[4]] * 20, range(1000, 1020))
    first, again, other = (
        recommend_sampling(walk, corpus, seed=seed, seconds=1000.0, steps=60) for seed in (1, 1, 2)
    )
    assert first.tried == again.tried
    assert first.tried != other.tried


def test_all_candidates_draw_with_the_same_random_numbers() -> None:
    seen: list[tuple[list[RecommendedSampling], list[int]]] = []

    def draw(
        samplings: Sequence[RecommendedSampling], seeds: Sequence[int], steps: int
    ) -> list[Song]:
        seen.append((list(samplings), list(seeds)))
        return walk(samplings, seeds, steps)

    recommend_sampling(draw, walk([OWN_DISTRIBUTION] * 9, range(9)), seed=3, seconds=99.0, steps=20)
    rounds = seen[-len(ROUNDS) :]
    for (candidates, songs), (samplings, seeds) in zip(ROUNDS, rounds, strict=True):
        assert len(set(samplings)) == candidates
        assert len(set(seeds)) == songs
        assert len(set(zip(samplings, seeds, strict=True))) == candidates * songs
    assert not set(rounds[0][1]) & set(rounds[1][1])


WHOLE = 36 * 60 * 0.001
"""Seconds of a round of whole songs by the clock below."""


@pytest.mark.parametrize(
    ("seconds", "steps", "rounds"),
    [
        (WHOLE * 3.4, 60, 3),
        (WHOLE * 2.2, 40, 3),
        (WHOLE * 1.7, 30, 3),
        (WHOLE * 1.2, 20, 3),
        (WHOLE * 0.9, 20, 2),
        (WHOLE * 0.5, 20, 1),
        (WHOLE * 0.4, 20, 0),
    ],
)
def test_songs_are_as_long_and_as_many_as_fit_into_the_time(
    seconds: float, steps: int, rounds: int
) -> None:
    corpus = walk([CANDIDATES[9]] * 20, range(1000, 1020), 60)
    clock = Clock(0.001)
    found = recommend_sampling(clock.draw, corpus, seed=1, seconds=seconds, steps=60, clock=clock)
    traced = 36 * 0.001
    assert found.steps == steps
    assert found.seconds == pytest.approx(clock.now - 100.0)
    assert found.seconds - traced <= seconds
    assert len(found.tried) == (len(CANDIDATES) if rounds else 0)
    if rounds:
        assert found.tried[0].songs == sum(songs for _, songs in ROUNDS[:rounds])
    else:
        assert found.sampling == OWN_DISTRIBUTION


def test_without_songs_to_compare_with_the_own_distribution_is_recommended() -> None:
    for corpus in ([], [[()] * 30], walk([OWN_DISTRIBUTION], [1])):
        found = recommend_sampling(walk, corpus, seed=1, seconds=99.0, steps=30)
        assert (found.sampling, found.tried) == (OWN_DISTRIBUTION, ())


def test_a_sampling_that_falls_silent_comes_last() -> None:
    def draw(
        samplings: Sequence[RecommendedSampling], seeds: Sequence[int], steps: int
    ) -> list[Song]:
        return [
            [()] * steps if sampling == CANDIDATES[0] else song
            for sampling, song in zip(samplings, walk(samplings, seeds, steps), strict=True)
        ]

    corpus = walk([CANDIDATES[0]] * 20, range(1000, 1020))
    found = recommend_sampling(draw, corpus, seed=1, seconds=99.0, steps=100)
    assert found.tried[-1].sampling == CANDIDATES[0]
    assert found.tried[-1].songs == ROUNDS[0][1]


def test_the_report_is_a_table_for_json() -> None:
    corpus = walk([CANDIDATES[4]] * 20, range(1000, 1020))
    found = recommend_sampling(walk, corpus, seed=1, seconds=1000.0, steps=60)
    table = json.loads(json.dumps(found.report(), allow_nan=False))
    assert table["temperature"] == found.sampling.temperature
    assert table["steps"] == 60
    assert len(table["tried"]) == len(CANDIDATES)
    assert table["tried"][0]["top_p"] == found.sampling.top_p
    assert 0 <= table["tried"][0]["within"]["pitch_range"] <= 1


def test_choosing_takes_a_tenth_of_the_training_and_twenty_seconds_at_most() -> None:
    assert time_for_sampling(20.0, 60.0) == pytest.approx(6.0)
    assert time_for_sampling(20.0, 900.0) == 20.0
    assert time_for_sampling(20.0, None) == 20.0


# The distance


def test_values_of_one_distribution_are_no_distance_apart_on_average() -> None:
    random = np.random.default_rng(1)
    found = [distance(random.normal(size=4), random.normal(size=50), 0.01) for _ in range(400)]
    assert np.mean(found) == pytest.approx(0.0, abs=0.02)
    assert min(found) < 0


def test_values_elsewhere_are_further_the_further_they_are_but_not_without_end() -> None:
    corpus = np.linspace(0, 1, 21)
    near, far, endless, none = (
        distance(np.full(5, value), corpus, 0.01) for value in (0.5, 1.5, 1e9, np.nan)
    )
    assert near < far < endless < 3
    assert none == endless


def test_what_nobody_hears_is_no_difference() -> None:
    corpus, values = np.ones(9), np.full(4, 0.999)
    assert distance(values, corpus, 0.02) < 0.15 < distance(values, corpus, 0.001)


# By an exported model


@pytest.fixture(scope="module")
def model(model_dir: Path) -> SavedPredictor:
    return SavedPredictor.load(model_dir / "1")


@pytest.fixture(scope="module")
def drawn_by_model(model_dir: Path, model: SavedPredictor) -> Draw:
    import tensorflow as tf

    generate = tf.saved_model.load(str(model_dir / "1")).signatures["generate"]
    return draw_by_signature(generate, model.window, model.vocabulary)


def test_each_song_is_drawn_with_its_own_sampling_and_seed(drawn_by_model: Draw) -> None:
    greedy, free = RecommendedSampling(0.0), RecommendedSampling()
    songs = drawn_by_model([greedy, free, greedy, free, free], [1, 1, 2, 2, 1], 30)
    assert [len(song) for song in songs] == [30] * 5
    assert songs[0] == songs[2] != songs[1]
    assert songs[1] == songs[4] != songs[3]
    assert len(set(songs[0])) < len(set(songs[1]))


def test_a_sampling_is_recommended_for_an_exported_model(drawn_by_model: Draw) -> None:
    corpus = drawn_by_model([OWN_DISTRIBUTION] * 8, range(100, 108), 24)
    found = recommend_sampling(drawn_by_model, corpus, seed=1, seconds=300.0, steps=24)
    assert found.sampling in CANDIDATES
    assert found.tried[0].songs == sum(songs for _, songs in ROUNDS)
