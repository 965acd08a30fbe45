"""Songs for judging: a predictor's own distribution, sampled side by side.

Frame by frame the songs are those that a client composes from silence with the same seed, without a
server in between.
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
    """Return int32 [songs, at most `steps`], each song from silence as training songs begin.

    Drawn by an exponential race: the token with the smallest noise / probability is taken. A song
    depends on the seed and on its place alone.

    Args:
        predictor: asked for all songs at once, step by step; its rows must be finite.
        window: tokens in its input.
        rests: the token of each part's rest.
        songs: how many.
        steps: frames of each.
        seed: 0 or more.
        maximum_seconds: after the step in which they have passed the songs end, with one frame at
            least.
        sampling: how they are drawn; None for the predictor's own distribution.
        advance: called after each step with 1.
    """
    started = time.monotonic()
    drawn = sampling or RecommendedSampling()
    streams = [
        np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(index,))))
        for index in range(songs)
    ]
    tokens = np.empty((songs, window + steps), dtype=np.int32)
    tokens[:, :window] = padding(rests, window)
    for step in range(steps):
        rows = predictor.probabilities(tokens[:, step : step + window]).astype(np.float64)
        rows = drawn.distribution(rows)
        noise = -np.log1p(-np.stack([stream.random(rows.shape[1]) for stream in streams]))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            arrivals = np.where(rows > 0, noise / rows, np.inf)
        tokens[:, window + step] = arrivals.argmin(axis=1)
        advance(1)
        if time.monotonic() - started >= maximum_seconds:
            break
    return tokens[:, window : window + step + 1]
