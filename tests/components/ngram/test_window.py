"""The n-grams of a window are what they are defined as, sum to one, and know a song's own tune."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tunesmith.components.evaluator.likelihood import Figures, score
from tunesmith.components.example_gen.song_files import content_digest
from tunesmith.components.ngram.window import WINDOW_ORDER, WindowNGram
from tunesmith.components.records.eval_windows import EvalWindows
from tunesmith.music import TrackChoice, Vocabulary, read_sequence, read_song

SIZE, WINDOW, RESTS = 5, 12, (0, 3)
SONGS = st.lists(
    st.lists(st.integers(0, SIZE - 1), min_size=1, max_size=30).map(np.array),
    min_size=1,
    max_size=5,
)
WINDOWS = st.lists(
    st.lists(st.integers(0, SIZE - 1), min_size=WINDOW, max_size=WINDOW), min_size=1, max_size=6
)


def defined(model: WindowNGram, window: list[int]) -> NDArray[np.float64]:
    """Return the row of a window place by place, float64 [V], as the class defines it."""
    sounding = next((at for at, token in enumerate(window) if token not in RESTS), len(window))
    found: list[list[int]] = []
    for order in range(WINDOW_ORDER + 1):
        context = window[len(window) - order :]
        followers = [
            window[at]
            # Neither what follows nor what it follows may be padding.
            for at in range(max(sounding + order, order, 1), len(window))
            if window[at - order : at] == context
        ]
        if not followers or len(window) - order < sounding:
            break
        found.append(followers)
    weights = model.weights[len(found)]
    row = weights[0] * model.ngram.probabilities(np.array([window], np.int32))[0]
    for weight, followers in zip(weights[1:], found, strict=False):
        row += weight * np.bincount(followers, minlength=SIZE) / len(followers)
    return row


@settings(max_examples=60, deadline=None)
@given(SONGS, WINDOWS)
def test_a_row_is_its_definition(songs: list[np.ndarray], windows: list[list[int]]) -> None:
    model = WindowNGram.count(songs, SIZE, WINDOW, RESTS)
    rows = model.probabilities(np.array(windows, np.int32))
    assert (rows > 0).all()
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(rows, [defined(model, each) for each in windows], atol=1e-12)


def repeated(*tokens: int) -> list[int]:
    return list(np.resize(tokens, WINDOW))


@pytest.mark.parametrize(
    "window",
    [
        repeated(1),
        repeated(1, 2),
        repeated(1, 2, 4, 2),
        [*[0] * 6, 1, 0, 0, 1, 0, 0],
        [*[0] * 11, 1],
        [*[0] * 10, 1, 1],
        [1, *[0] * 11],
    ],
)
def test_a_window_that_repeats_itself_is_its_definition(window: list[int]) -> None:
    # Random windows seldom match in more than a frame or two.
    random = np.random.default_rng(0)
    songs = [np.resize(random.integers(0, SIZE, 5), 40) for _ in range(6)]
    model = WindowNGram.count(songs, SIZE, WINDOW, RESTS)
    (row,) = model.probabilities(np.array([window], np.int32))
    np.testing.assert_allclose(row, defined(model, window), atol=1e-12)


def test_weights_are_shares_of_the_orders_that_match() -> None:
    songs = [np.resize([1, 2, 4, number], 40) for number in range(SIZE)]
    weights = WindowNGram.count(songs, SIZE, WINDOW, RESTS).weights
    assert weights.shape == (WINDOW_ORDER + 2, WINDOW_ORDER + 2)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    # A row has weights of the orders up to the longest match, and of no longer ones.
    above = np.triu(np.ones(weights.shape, bool), 1)
    assert (weights[above] == 0).all()
    assert (weights[~above] > 0).all()


def test_padding_is_no_evidence() -> None:
    songs = [np.resize([1, 2, 4], 30), np.resize([2, 1, 4], 30)]
    model = WindowNGram.count(songs, SIZE, WINDOW, RESTS)
    silence = np.array([[0] * WINDOW, [0, 3] * (WINDOW // 2), [*[0] * (WINDOW - 1), 1]], np.int32)
    # Not even the first frame that sounds is known to have followed rests.
    of_songs = model.ngram.probabilities(silence)
    np.testing.assert_allclose(
        model.probabilities(silence),
        [of_songs[0], of_songs[1], defined(model, silence[2].tolist())],
    )


def test_how_much_padding_there_is_changes_nothing() -> None:
    songs = [np.resize([1, 2, 4], 30), np.resize([2, 1, 4], 30)]
    model = WindowNGram.count(songs, SIZE, WINDOW, RESTS)
    music = [1, 2, 4, 4, 1, 2]
    padded = (np.array([[0] * rests + music], np.int32) for rests in (1, 2, 20))
    bare, *others = (model.probabilities(windows) for windows in padded)
    for rows in others:
        np.testing.assert_allclose(rows, bare)


def test_what_a_song_does_again_is_foreseen_from_its_window_alone() -> None:
    # Each song has a motif of its own, so that the others say nothing of it.
    random = np.random.default_rng(1)
    size = 40
    songs = [np.resize(random.choice(np.arange(1, size), 6, replace=False), 60) for _ in range(12)]
    model = WindowNGram.count(songs[:-1], size, 20, (0,))
    held = EvalWindows.of(songs[-1:], 20, (0,))
    # From the third time on.
    later = held.chosen(np.arange(len(held)) > 12)
    assert Figures.of(score(model, later)).nats < 0.1
    assert Figures.of(score(model.ngram, later)).nats > 2


def test_the_papers_songs_are_foreseen_far_better_with_their_windows(jj_lin: Path) -> None:
    paths = sorted(jj_lin.glob("*.mid"))
    # Held out are the songs that ExampleGen holds out, those of the smallest digests.
    readings = [read_song(path.read_bytes(), TrackChoice("first")) for path in paths]
    order = sorted(range(len(paths)), key=lambda at: content_digest(readings[at]))
    sequences = [read_sequence(paths[at], TrackChoice("first")) for at in order]
    counts: dict[tuple[int, ...], int] = {}
    for frames in sequences[4:]:
        for frame in frames:
            counts[frame] = counts.get(frame, 0) + 1
    vocabulary = Vocabulary.from_counts(counts, 5.0)
    held_out, songs = (
        [vocabulary.encode(frames) for frames in some] for some in (sequences[:4], sequences[4:])
    )
    model = WindowNGram.count(songs, len(vocabulary), 50, (0,))
    held = EvalWindows.of(held_out, 50, (0,))
    assert Figures.of(score(model.ngram, held)).nats == pytest.approx(3.58, abs=0.05)
    assert Figures.of(score(model, held)).nats == pytest.approx(2.48, abs=0.05)
