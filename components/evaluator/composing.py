"""Composes songs with a predictor, for the music measures.

The songs equal those that a client composes from silence with the same seed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from tunesmith.components.evaluator.likelihood import Predictor
from tunesmith.components.records.eval_windows import Tokens
from tunesmith.components.records.padding import padding
from tunesmith.components.sampling import RecommendedSampling


def compose(
    predictor: Predictor,
    window: int,
    rests: Sequence[int],
    *,
    songs: int,
    steps: int,
    seed: int,
    maximum_seconds: float,
    sampling: RecommendedSampling | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Tokens:
    """Return songs, int32 [songs, at most `steps`], composed from silence.

    Each token is sampled by an exponential race: the one with the smallest noise / probability. A
    song depends only on the seed and its index.

    Args:
        predictor: called with the windows of all songs at each step; its rows must be finite.
        window: tokens in its input.
        rests: the token of each part's rest.
        songs: number of songs.
        steps: frames of each.
        seed: 0 or more.
        maximum_seconds: time limit, checked after each step.
        sampling: None for the predictor's own distribution.
        advance: called after each step with 1.
    """
    started = time.monotonic()
    used = sampling or RecommendedSampling()
    streams = [
        np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(index,))))
        for index in range(songs)
    ]
    tokens = np.empty((songs, window + steps), dtype=np.int32)
    tokens[:, :window] = padding(rests, window)
    for step in range(steps):
        rows = predictor.probabilities(tokens[:, step : step + window]).astype(np.float64)
        rows = used.distribution(rows)
        noise = -np.log1p(-np.stack([stream.random(rows.shape[1]) for stream in streams]))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            arrivals = np.where(rows > 0, noise / rows, np.inf)
        tokens[:, window + step] = arrivals.argmin(axis=1)
        advance(1)
        if time.monotonic() - started >= maximum_seconds:
            break
    return tokens[:, window : window + step + 1]
