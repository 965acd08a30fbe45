"""The recommended sampling of a model: its songs are the most similar to the training songs.

Songs are composed with each candidate and measured as in docs/evaluation.md, compared with training
songs only: held-out songs are not read before the Evaluator. The candidates are reduced by
successive halving (Jamieson and Talwalkar 2016, "Non-stochastic Best Arm Identification and
Hyperparameter Optimization"): many get few songs, the best of them more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.encodings.encoding import TokenVocabulary
from tunesmith.components.records.padding import padding
from tunesmith.components.sampling import RecommendedSampling
from tunesmith.components.spread import evenly
from tunesmith.music.frames import Frame
from tunesmith.music.measures import MEASURES, Measure

Song = Sequence[Frame]
Floats = NDArray[np.float64]

OWN_DISTRIBUTION = RecommendedSampling()

CANDIDATES = tuple(
    RecommendedSampling(temperature, top_p=top_p)
    for temperature, top_p in product((1.1, 1.0, 0.9, 0.8), (1.0, 0.96, 0.9))
)
"""The candidates: the model's own distribution, and lower and higher temperatures and top-p."""

ROUNDS = ((12, 3), (5, 7), (2, 18))
"""Candidates of each round and songs of each; a round has about as many songs as any other, so that
the time of one tells that of the next."""

SONGS_A_ROUND = max(candidates * songs for candidates, songs in ROUNDS)

STEPS = 300
"""Frames of a song, as many as the Evaluator's songs have unless asked."""

LENGTHS = (1.0, 2 / 3, 1 / 2, 1 / 3)
"""Shares of the length that songs may have where time is short; the corpus is measured by as many
frames. A third of 300 is twice the window, long enough for a model to listen to itself alone."""

MOST_CORPUS_SONGS = 200
"""Training songs that are measured, spread evenly; a song takes 10 ms."""

LEAST_WIDTHS = {"share": 0.02, "pitches": 0.1, "semitones": 1.0, "bits": 0.1, "frames": 1.0}
"""Minimum width of the corpus's range, by unit: if all songs have the same value, an inaudible
difference must not count."""

LARGEST_SHARE = 0.1
"""Maximum share of the training time."""


class Draw(Protocol):
    """Draws songs from silence, one for each sampling."""

    def __call__(
        self, samplings: Sequence[RecommendedSampling], seeds: Sequence[int], steps: int
    ) -> list[Song]:
        """Return a song of `steps` frames for each sampling, which follows from its seed."""


@dataclass(frozen=True)
class Tried:
    """A candidate, and the comparison of its songs with the corpus.

    Args:
        sampling: the candidate.
        songs: number of composed songs.
        distance: mean over the measures of :func:`distance`.
        within: for each measure the share of the songs between the corpus's 5 and 95 %.
    """

    sampling: RecommendedSampling
    songs: int
    distance: float
    within: Mapping[str, float]

    def row(self) -> dict[str, Any]:
        """Return it as a row of a table that JSON can hold."""
        return {
            "temperature": self.sampling.temperature,
            "top_k": self.sampling.top_k,
            "top_p": self.sampling.top_p,
            "songs": self.songs,
            "distance": self.distance,
            "within": dict(self.within),
        }


@dataclass(frozen=True)
class Recommendation:
    """The recommended sampling and the candidates.

    Args:
        sampling: the best candidate; the model's own distribution if there was no time.
        tried: all candidates, best first; empty if there was no time.
        steps: frames of each song.
        seconds: duration of the choice, including tracing.
    """

    sampling: RecommendedSampling
    tried: tuple[Tried, ...]
    steps: int
    seconds: float

    def report(self) -> dict[str, Any]:
        """Return ``{"temperature", "top_k", "top_p", "steps", "seconds", "tried": rows}`` for
        JSON.
        """
        chosen = self.sampling
        return {
            "temperature": chosen.temperature,
            "top_k": chosen.top_k,
            "top_p": chosen.top_p,
            "steps": self.steps,
            "seconds": self.seconds,
            "tried": [each.row() for each in self.tried],
        }


def time_for_sampling(seconds: float, maximum_seconds: float | None) -> float:
    """Return the time limit of :func:`recommend_sampling`, in seconds.

    Args:
        seconds: the parameter.
        maximum_seconds: time limit of the training; None without a limit.
    """
    return min(seconds, LARGEST_SHARE * (maximum_seconds or np.inf))


def recommend_sampling(
    draw: Draw,
    corpus: Sequence[Song],
    *,
    seed: int,
    seconds: float,
    steps: int = STEPS,
    clock: Callable[[], float] = time.monotonic,
) -> Recommendation:
    """Return the candidate whose songs are nearest to those of the corpus.

    With time enough it follows from the model, the corpus and the seed alone. Where time is short
    songs are shorter; where that is not enough, rounds are left out, and without time for the first
    the model's own distribution is recommended.

    Args:
        draw: draws songs of the model.
        corpus: training songs, of which the first `steps` frames count.
        seed: 0 or more; all candidates draw with the same random numbers.
        seconds: how long it may take, about, without tracing the model's function, which happens in
            the first call and again nowhere.
        steps: frames of each song.
        clock: seconds that never go back.
    """
    started = clock()
    draw([OWN_DISTRIBUTION] * SONGS_A_ROUND, range(SONGS_A_ROUND), 1)
    traced = clock()
    share, expected = _affordable(_expected_seconds(draw, steps, clock), seconds)
    steps = max(1, round(share * steps))
    reference = Reference.of(corpus, steps)
    drawn: dict[RecommendedSampling, list[Song]] = {each: [] for each in CANDIDATES}
    ranked: list[Tried] = []
    out: list[Tried] = []
    for number, (survivors, songs) in enumerate(ROUNDS):
        before = clock()
        if before - traced + expected > seconds or not reference.measures:
            break
        kept = [each.sampling for each in ranked[:survivors]] or list(CANDIDATES)
        out = [*ranked[survivors:], *out]
        samplings = [sampling for sampling in kept for _ in range(songs)]
        answered = draw(samplings, _seeds(seed, number, songs) * len(kept), steps)
        for sampling, song in zip(samplings, answered, strict=True):
            drawn[sampling].append(song)
        ranked = [reference.compare(each, drawn[each]) for each in kept]
        ranked.sort(key=lambda each: each.distance)
        expected = clock() - before
    best = ranked[0].sampling if ranked else OWN_DISTRIBUTION
    return Recommendation(best, (*ranked, *out), steps, clock() - started)


def _expected_seconds(draw: Draw, steps: int, clock: Callable[[], float]) -> float:
    """Return what a round of songs of `steps` frames will take, by a tenth of one."""
    before = clock()
    part = max(1, steps // 10)
    draw([OWN_DISTRIBUTION] * SONGS_A_ROUND, range(SONGS_A_ROUND), part)
    return (clock() - before) * steps / part


def _affordable(whole: float, seconds: float) -> tuple[float, float]:
    """Return the share of their length that songs can have, and what a round of them takes.

    Args:
        whole: what a round of songs of the whole length takes.
        seconds: for the probe, which took a tenth of that, and all rounds.
    """
    for share in LENGTHS:
        if whole * (0.1 + share * len(ROUNDS)) <= seconds:
            break
    return share, share * whole


def _seeds(seed: int, number: int, songs: int) -> list[int]:
    """Return the seeds of a round's songs, 0 to 2**63 - 1."""
    state = np.random.SeedSequence(seed, spawn_key=(number,)).generate_state(songs, np.uint64)
    return [int(each >> np.uint64(1)) for each in state]


@dataclass(frozen=True)
class Reference:
    """The corpus, measured.

    Args:
        measures: those that songs of the corpus have a value of.
        values: float64 [songs], by measure.
    """

    measures: Mapping[str, Measure]
    values: Mapping[str, Floats]

    @classmethod
    def of(cls, corpus: Sequence[Song], steps: int) -> Reference:
        """Measure the first `steps` frames of :data:`MOST_CORPUS_SONGS` songs, evenly spread."""
        chosen = corpus[evenly(len(corpus), MOST_CORPUS_SONGS)]
        found = {name: _measured(measure, chosen, steps) for name, measure in MEASURES.items()}
        values = {name: each[~np.isnan(each)] for name, each in found.items()}
        # The spread of a measure is not known from one song.
        known = {name: measure for name, measure in MEASURES.items() if len(values[name]) > 1}
        return cls(known, {name: values[name] for name in known})

    def compare(self, sampling: RecommendedSampling, songs: Sequence[Song]) -> Tried:
        """Return how songs that were drawn with a sampling compare."""
        distances, within = [], {}
        for name, measure in self.measures.items():
            values = _measured(measure, songs, max(map(len, songs)))
            corpus = self.values[name]
            distances.append(distance(values, corpus, LEAST_WIDTHS[measure.unit]))
            low, high = np.quantile(corpus, (0.05, 0.95))
            within[name] = float(((values >= low) & (values <= high)).mean())
        return Tried(sampling, len(songs), float(np.mean(distances)), within)


def _measured(measure: Measure, songs: Sequence[Song], steps: int) -> Floats:
    return np.array([measure.of(song[:steps]) for song in songs], dtype=np.float64)


def distance(values: Floats, corpus: Floats, least_width: float) -> float:
    """Return the energy distance between two sets of values, in widths of the corpus's range.

    2 E|X - Y| - E|X - X'| - E|Y - Y'| (Székely and Rizzo 2013, "Energy statistics"), without bias,
    so that it may be a little below zero for values of the same distribution. The range is that
    from 5 to 95 %; a value further than its width outside counts as that far, and one that is not a
    number as far above.

    Args:
        values: float64 [n], of the songs that were drawn, 2 or more.
        corpus: float64 [m], 2 or more, all finite.
        least_width: of the range.
    """
    low, high = np.quantile(corpus, (0.05, 0.95))
    width = max(high - low, least_width)
    near, far = low - width, high + width
    drawn = np.clip(np.where(np.isnan(values), far, values), near, far)
    corpus = np.clip(corpus, near, far)
    between = np.abs(drawn[:, np.newaxis] - corpus).mean()
    return float((2 * between - _spread(drawn) - _spread(corpus)) / width)


def _spread(values: Floats) -> float:
    """Return the mean difference of two values at different places."""
    count = len(values)
    return float(np.abs(values[:, np.newaxis] - values).sum() / (count * (count - 1)))


def draw_by_signature(
    generate: Callable[..., Mapping[str, Any]], window: int, vocabulary: TokenVocabulary
) -> Draw:
    """Return what draws by an exported model's ``generate`` signature.

    Args:
        generate: the function, of an export or of
            :func:`tunesmith.components.trainer.export.generate.generate_signature`.
        window: tokens that it sees.
        vocabulary: of its tokens.
    """
    import tensorflow as tf

    parts = len(vocabulary.rests)

    def draw(
        samplings: Sequence[RecommendedSampling], seeds: Sequence[int], steps: int
    ) -> list[Song]:
        count = len(samplings)
        silence = np.tile(padding(vocabulary.rests, window), (count, 1))
        served = [each.served() for each in samplings]
        drawn = generate(
            tokens=tf.constant(silence, tf.int32),
            steps=tf.fill([count], steps * parts),
            seed=tf.constant(seeds, tf.int64),
            **{name: tf.constant([each[name] for each in served]) for name in served[0]},
        )
        return [vocabulary.decode(song) for song in drawn["tokens"].numpy()]

    return draw
