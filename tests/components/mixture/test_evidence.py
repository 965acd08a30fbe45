"""Contexts and matches of windows against their definitions, in plain Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from tunesmith.components.mixture.evidence import (
    CONTEXTS,
    DECAY,
    LONGEST_RUN,
    MATCHES,
    find_columns,
    find_evidence,
    place_weights,
    probabilities_of,
)

SIZE = 4


def windows_of(length: int, rests: Sequence[int], count: int = 40) -> NDArray[np.int32]:
    """Return random windows that hold frames long, repeat themselves, and may be padded."""
    random = np.random.default_rng(length)
    rows = []
    for number in range(count):
        tokens = random.integers(0, SIZE, length)
        if number % 3 == 0:
            tokens = np.resize(tokens[: 1 + number % 5], length)
        if number % 2:
            tokens = np.repeat(tokens, random.integers(1, 5, length))[:length]
        if number % 5 < 2:
            padding = random.integers(0, length + 1)
            tokens[:padding] = np.resize(rests, padding)
        rows.append(tokens)
    rows.append(np.resize(rests, length))
    # Longer than a context tells lengths apart.
    rows.append(np.ones(length, np.int64))
    return np.array(rows, np.int32)


class Runs:
    """A window's frames without its padding, and the runs of equal frames that each ends."""

    def __init__(self, window: Sequence[int], rests: Sequence[int]) -> None:
        sounding = (at for at, token in enumerate(window) if token not in rests)
        self.first = next(sounding, len(window))
        self.frames = [None] * self.first + [*window[self.first :]]

    def until(self, end: int) -> list[tuple[int, int]]:
        """Return (token, frames) of the runs before frame `end`, the last one first."""
        found: list[tuple[int, int]] = []
        for at in range(end - 1, self.first - 1, -1):
            if found and self.frames[at] == found[-1][0]:
                found[-1] = (found[-1][0], found[-1][1] + 1)
            else:
                found.append((self.frames[at], 1))
        return found


def context(runs: Runs, name: str) -> tuple[Any, ...]:
    """Return what a window has in common with all that have the same context of this name."""
    kind, number = name.removesuffix(", all keys").split(" ")
    last = [*runs.until(len(runs.frames)), *[(None, 0)] * 4]
    if kind == "frames":
        return tuple([None, None, None, None, *runs.frames][-int(number) :])
    if kind == "changes":
        return tuple(token for token, _ in last[: int(number)])
    assert kind == "runs"
    flat = [each for token, length in last for each in (token, min(length, LONGEST_RUN))]
    return tuple(flat[: int(number)])


def place_kinds(runs: Runs, place: int) -> dict[str, float]:
    """Return how much frame `place` counts for each of the matches that it is one of."""
    frames, end = runs.frames, len(runs.frames)
    found: dict[str, float] = {}
    if place <= 0 or place < runs.first:
        return found
    age = DECAY ** (end - 1 - place)
    for name in MATCHES:
        kind, _, what = name.partition(" ")
        if what.isdigit():
            order = int(what)
            before, last = frames[max(0, place - order) : place], frames[end - order :]
            if place < order or order > end or before != last or None in before:
                continue
            found[name] = 1 if kind == "window" else age
            assert kind in ("window", "recent")
            continue
        if place == runs.first or frames[-1] is None:
            continue
        here, now = ([*runs.until(at), (None, 0)] for at in (place, end))
        same = {
            "token": here[0][0] == now[0][0],
            "length": here[0][1] == now[0][1],
            "token before": here[1][0] == now[1][0],
            "length before": here[1][1] == now[1][1],
        }
        if all(same[each] for each in what.split(", ")):
            found[name] = 1
    return found


@pytest.mark.parametrize("rests", [(0,), (0, 3)], ids=["one part", "two parts"])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 12, 16, 17, 40])
def test_keys_are_equal_where_windows_end_alike_and_only_there(
    length: int, rests: tuple[int, ...]
) -> None:
    windows = windows_of(length, rests)
    keys = find_evidence(tf.constant(windows), rests).keys.numpy()
    assert keys.dtype == np.int64
    assert keys.shape == (len(windows), len(CONTEXTS))
    seen = [Runs(each.tolist(), rests) for each in windows]
    meant: dict[int, tuple[Any, ...]] = {}
    for column, name in enumerate(CONTEXTS):
        for key, runs in zip(keys[:, column].tolist(), seen, strict=True):
            expected = (name, *context(runs, name))
            # Nor do two kinds of context share a key.
            assert meant.setdefault(key, expected) == expected
    assert len(set(meant.values())) == len(meant)


def test_keys_know_nothing_of_padding() -> None:
    music = [1, 1, 2, 0, 0, 3]
    bare, *others = (
        find_evidence(tf.constant([[0] * rests + music]), (0,)).keys.numpy()
        for rests in (0, 1, 3, 50)
    )
    for keys in others:
        np.testing.assert_array_equal(keys, bare)


def test_contexts_are_made_of_the_last_frames_and_runs() -> None:
    (columns,) = find_columns(tf.constant([[0, 0, 1, 1, 1, 2, 0, 0]]), (0,)).numpy()
    frames, tokens, lengths = columns[:4], columns[4:8], columns[8:]
    assert frames.tolist() == [0, 0, 2, 1]
    assert tokens.tolist() == [0, 2, 1, -1]
    assert lengths.tolist() == [2, 1, 3, 0]


@pytest.mark.parametrize("rests", [(0,), (0, 3)], ids=["one part", "two parts"])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 12, 16, 17, 40])
def test_matches_are_the_places_where_it_went_the_same_way(
    length: int, rests: tuple[int, ...]
) -> None:
    windows = windows_of(length, rests)
    evidence = find_evidence(tf.constant(windows), rests)
    assert np.isfinite(evidence.features).all()
    if length == 1:
        # A place has a frame before it.
        windows, length = np.pad(windows, [(0, 0), (1, 0)]), 2
    kinds = [
        [place_kinds(runs, place) for place in range(1, length)]
        for runs in (Runs(each.tolist(), rests) for each in windows)
    ]
    # float [n, p, matches]: how much each place counts for each match.
    counted = np.array(
        [[[place.get(name, 0) for name in MATCHES] for place in window] for window in kinds]
    ).reshape(len(windows), length - 1, len(MATCHES))
    totals = counted.sum(axis=1)
    np.testing.assert_allclose(evidence.totals, totals, rtol=1e-5)
    shares = np.random.default_rng(0).dirichlet(np.ones(len(MATCHES)), len(windows))
    shares = np.where(totals > 0, shares, 0)
    said = counted / np.where(totals > 0, totals, 1)[:, None]
    np.testing.assert_allclose(
        place_weights(evidence, tf.constant(shares, tf.float32)),
        (said * shares[:, None]).sum(axis=2),
        atol=1e-6,
    )
    for target in range(SIZE):
        followed = (windows[:, 1:] == target)[:, :, None]
        targets = tf.fill([len(windows)], target)
        np.testing.assert_allclose(
            probabilities_of(evidence, targets), (said * followed).sum(axis=1), atol=1e-6
        )


def test_matches_that_are_possible_sum_to_one() -> None:
    windows = windows_of(24, (0,))
    evidence = find_evidence(tf.constant(windows), (0,))
    said = sum(
        probabilities_of(evidence, tf.fill([len(windows)], target)).numpy()
        for target in range(SIZE)
    )
    np.testing.assert_allclose(said, evidence.totals.numpy() > 0, atol=1e-5)


def test_a_window_of_rests_alone_is_no_evidence() -> None:
    evidence = find_evidence(tf.constant([[0] * 20, [0, 3] * 10]), (0, 3))
    assert not evidence.totals.numpy().any()
    assert (evidence.followed.numpy() == -1).all()
    assert np.isfinite(evidence.features).all()
