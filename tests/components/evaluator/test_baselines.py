"""Baselines are distributions, foresee what they were told, and are not fooled by what they saw."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.components.evaluator.baselines import Repeat, count_baselines
from tunesmith.components.evaluator.component import BASELINES
from tunesmith.components.evaluator.likelihood import Figures, score
from tunesmith.components.ngram.counting import NGram
from tunesmith.components.records.eval_windows import EvalWindows
from tunesmith.music import TrackChoice, Vocabulary, read_sequence

SIZE, WINDOW = 5, 6
RESTS = (0,)
SONGS = st.lists(
    st.lists(st.integers(0, SIZE - 1), min_size=1, max_size=12).map(np.array),
    min_size=1,
    max_size=5,
)
CONTEXTS = st.lists(
    st.lists(st.integers(0, SIZE - 1), min_size=WINDOW, max_size=WINDOW), min_size=1, max_size=8
)


@given(SONGS, CONTEXTS)
def test_every_baseline_is_a_distribution_in_any_context(
    songs: list[np.ndarray], contexts: list[list[int]]
) -> None:
    baselines = count_baselines(songs, SIZE, WINDOW, RESTS)
    assert tuple(baselines) == BASELINES
    for predictor in baselines.values():
        rows = predictor.probabilities(np.array(contexts, dtype=np.int32))
        assert rows.shape == (len(contexts), SIZE)
        assert (rows > 0).all()
        np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-12)


@given(SONGS, CONTEXTS)
def test_an_ngram_is_its_recursion(songs: list[np.ndarray], contexts: list[list[int]]) -> None:
    """The definition, written out context by context with the weights that were fitted."""
    order = 3
    ngram = NGram.count(songs, SIZE, order, RESTS)
    weights = [
        dict(zip(level.totals.tolist(), level.weights, strict=True)) for level in ngram.levels
    ]
    padded = [(0, 0, *song.tolist()) for song in songs]

    def probability(context: tuple[int, ...], token: int) -> float:
        shorter = probability(context[1:], token) if context else 1 / SIZE
        length = len(context)
        followers = [
            song[at]
            for song in padded
            for at in range(2, len(song))
            if song[at - length : at] == context
        ]
        if not followers:
            return shorter
        weight = float(weights[length][len(followers)])
        return weight * followers.count(token) / len(followers) + (1 - weight) * shorter

    rows = ngram.probabilities(np.array(contexts, dtype=np.int32))
    for row, context in zip(rows, contexts, strict=True):
        expected = [probability(tuple(context[-2:]), token) for token in range(SIZE)]
        np.testing.assert_allclose(row, expected, atol=1e-12)


def test_what_all_songs_do_is_believed_and_what_one_does_is_not() -> None:
    together = [np.array([1, 2, 3] * 40 + [number % 5]) for number in range(8)]
    alone = [np.roll(np.arange(5), number)[[1, 2, 3] * 40] for number in range(5)]
    context = np.array([[2, 3, 1, 2]], dtype=np.int32)
    believed = NGram.count(together, SIZE, 3, RESTS).probabilities(context)[0, 3]
    doubted = NGram.count(alone, SIZE, 3, RESTS).levels[1].weights
    assert believed > 0.95
    assert doubted.max() < 0.5


def test_a_repeated_frame_is_as_likely_as_it_was() -> None:
    songs = [np.array([1, 1, 2, 2, 2, 3])]
    repeat = Repeat.count(songs, NGram.count(songs, SIZE, 1, RESTS), RESTS)
    # 1 2 2 repeat, of six frames; the first follows a rest.
    assert repeat.share == pytest.approx(4 / 8)
    row = repeat.probabilities(np.array([[4, 2]], dtype=np.int32))[0]
    assert row[2] == pytest.approx(0.5)
    # Of the others, by how frequent they are.
    assert row[1] / row[3] == pytest.approx(repeat.unigram[1] / repeat.unigram[3])


def test_silence_alone_is_foreseen() -> None:
    songs = [np.zeros(9, dtype=np.int64)]
    for predictor in count_baselines(songs, 1, 8, RESTS).values():
        rows = predictor.probabilities(np.zeros((3, 8), dtype=np.int32))
        np.testing.assert_allclose(rows, 1)


def test_the_papers_songs_rank_the_baselines(jj_lin: Path) -> None:
    sequences = [read_sequence(path, TrackChoice("first")) for path in sorted(jj_lin.glob("*.mid"))]
    counts: dict[tuple[int, ...], int] = {}
    for frames in sequences[:18]:
        for frame in frames:
            counts[frame] = counts.get(frame, 0) + 1
    vocabulary = Vocabulary.from_counts(counts, 5.0)
    train, held_out = (
        [vocabulary.encode(frames) for frames in some] for some in (sequences[:18], sequences[18:])
    )
    held = EvalWindows.of(held_out, 50, RESTS)
    nats = {
        name: Figures.of(score(predictor, held)).nats
        for name, predictor in count_baselines(train, len(vocabulary), 50, RESTS).items()
    }
    assert 3 < nats["unigram"] < math.log(len(vocabulary))
    assert nats["repeat"] < nats["unigram"] - 0.5
    assert nats["5-gram"] < nats["unigram"] - 0.5
    assert nats["5-gram+window"] < nats["5-gram"] - 0.2
    # Trained and judged on the same songs, longer contexts always help.
    orders = [
        Figures.of(
            score(
                NGram.count(train, len(vocabulary), order, RESTS), EvalWindows.of(train, 50, RESTS)
            )
        ).nats
        for order in (1, 2, 3, 5)
    ]
    assert all(longer < shorter for shorter, longer in pairwise(orders))
