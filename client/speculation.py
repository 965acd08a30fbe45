"""Speculative sampling: draft tokens, so that one call decides several tokens.

A draft token is drawn like the token itself: by the same exponential race with the same noise, but
from a distribution that needs no call. It is accepted if the model's own row draws the same token.
So a song is the same, token for token, whatever the drafts (except for float32 rounding in the
server, which can differ with the batch size): the drafter-invariant coupling of Daliri, Musco and
Suresh 2024, "Coupling without Communication and Drafter-Invariant Speculative Decoding" (arXiv
2408.07978). The rule of Leviathan, Kalman and Matias 2023 and of Chen et al. 2023 keeps only the
distribution of songs, and may accept more: benchmarks/generate.py prints both acceptance rates.

The distribution of a draft token is the model's last answer in this song after the same two tokens,
or else after the same token, or else that of the n-gram of the training songs. It is a cache
language model (Kuhn and De Mori 1990) whose cache holds whole distributions instead of words.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.client.composition import DraftContext
from tunesmith.client.errors import BadOption
from tunesmith.client.ngram import NGram
from tunesmith.client.pace import CallCosts, Cost, Kind, SpeedComparison
from tunesmith.client.sampling import Filter, Rows, Windows, apply, arrivals

Answer = NDArray[np.floating[Any]]

LONGEST_DRAFT = 16
"""Maximum draft length in tokens."""

MEMORY_BYTES = 64 * 2**20
"""Maximum size of the cache of answers of all songs."""

WORTH_WHILE = 0.5
"""Minimum share of the fixed cost in the cost of a call. Below it, even accepting all draft tokens
would not halve the time, and an overestimated share would cost more than it saves."""

PROBED_ROUNDS = (1, 3)
"""Numbers of the rounds without speculation that use some draft tokens to measure their cost."""

PROBED_EVERY = 256
"""Number of rounds after which the cost is measured again."""

_CONTEXT = 4
"""Context length of the n-gram; that of the cache is shorter."""

# Bins of the margin: ratio of the arrival times of the second and the first token in the race.
_MARGINS = np.array([1.25, 1.5, 2.0, 3.0, 6.0, 12.0, 30.0])

# Prior acceptance rates by source of the row (n-gram, one token, two tokens) and by margin, rounded
# from a dozen songs of the paper's network. Each session updates them.
_PRIOR_RATES = np.array(
    [
        [0.22, 0.25, 0.33, 0.33, 0.45, 0.60, 0.60, 0.75],
        [0.45, 0.60, 0.65, 0.80, 0.85, 0.90, 0.96, 0.98],
        [0.65, 0.80, 0.88, 0.93, 0.97, 0.99, 0.99, 0.99],
    ]
)
_PRIOR_RATES_COUNT = 8.0


@dataclass
class SpeculationStats:
    """Statistics of speculative sampling.

    Attributes:
        calls: number of calls of the model.
        windows: number of scored windows.
        tokens: number of decided tokens.
        verified: number of draft tokens compared with the model, up to the first rejected one of
            each draft.
        accepted: number of accepted draft tokens.
        overlap: sum of ``sum(min(p, q))`` over the verified draft tokens: the expected number that
            the rule of Leviathan et al. 2023 would accept (their corollary 3.6).
    """

    calls: int = 0
    windows: int = 0
    tokens: int = 0
    verified: int = 0
    accepted: int = 0
    overlap: float = 0.0


@dataclass
class _Step:
    """One draft token, the row it was drawn from, and its cell in the table of acceptance rates."""

    token: int
    row: NDArray[np.float64]
    place: tuple[int, int]


@dataclass
class _Draft:
    """The draft of a song; `chance` is the estimated probability that all of it is accepted."""

    context: DraftContext
    steps: list[_Step] = field(default_factory=list)
    chance: float = 1.0

    @property
    def tokens(self) -> list[int]:
        return [step.token for step in self.steps]


class Speculation:
    """Draft model that adapts the draft length to the measured cost of calls.

    It implements :class:`tunesmith.client.composition.DraftModel`.

    Args:
        size: vocabulary size V.
        songs: number of songs in the batch.
        chain: sampling filters, applied to drafts as to the model's rows.
        guesses: draft length per call; None chooses the length that saves most time.
        clock: clock in seconds, to measure the cost of drafting.
    """

    def __init__(
        self,
        size: int,
        songs: int,
        chain: Sequence[Filter],
        guesses: int | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.stats = SpeculationStats()
        self._chain = tuple(chain)
        self._songs = songs
        self._ngram: NGram | None = None
        self._without_ngram = False
        self._guesses = guesses
        self._clock = clock
        # Answers by the last token and by the last two tokens of a window; the oldest first.
        self._answers: list[dict[tuple[int, ...], NDArray[np.float32]]] = [{} for _ in range(songs)]
        self._limit = min(max(MEMORY_BYTES // (4 * size * songs), 16), 1024)
        self._uniform = np.full(size, 1 / size)
        self._verified = np.full(_PRIOR_RATES.shape, _PRIOR_RATES_COUNT)
        self._accepted = _PRIOR_RATES * _PRIOR_RATES_COUNT
        self._costs = CallCosts()
        # Seconds for drafting one token; and seconds and tokens of the current round.
        self._own = 0.0
        self._seconds, self._tokens = 0.0, 0
        self._comparison = SpeedComparison()
        self._quiet = 0
        self._drafts: dict[int, _Draft] = {}
        self._kind: Kind = "plain"

    def record_call(self, windows: int, seconds: float) -> None:
        """Record the duration of a call of `windows` windows."""
        self.stats.calls += 1
        self._seconds += seconds
        self._costs.record(windows, seconds)

    @property
    def needs_ngram(self) -> bool:
        """True if drafts are going to be made and the n-gram has not been read yet."""
        cost = self._costs.cost
        if cost is None or self._ngram is not None or self._without_ngram:
            return False
        return self._guesses is not None or _saves_time(cost, self._songs)

    def set_ngram(self, ngram: NGram | None) -> None:
        """Use `ngram` where the cache has no answer; None for a model without an n-gram."""
        self._ngram, self._without_ngram = ngram, ngram is None

    def draft(self, songs: Sequence[DraftContext]) -> list[list[int]]:
        """Return the draft tokens of each song, at most its limit; none in the first round."""
        self._comparison.record(self._kind, self.stats.tokens - self._tokens, self._seconds)
        self._kind, self._tokens, self._seconds = "plain", self.stats.tokens, 0.0
        drafts = [_Draft(each) for each in songs]
        self._drafts = {each.context.song: each for each in drafts}
        cost = self._costs.cost
        if cost is not None:
            started = self._clock()
            tried = self._grow(drafts, cost)
            if tried:
                self._seconds = self._clock() - started
                own = self._seconds / tried
                self._own = own if self._own == 0 else 0.9 * self._own + 0.1 * own
        return [each.tokens for each in drafts]

    def _grow(self, drafts: list[_Draft], cost: Cost) -> int:
        """Extend the drafts while it saves time; return the number of tokens tried."""
        probing = self._probes(cost, len(drafts))
        forced = probing or self._guesses is not None
        wanted = forced or (_saves_time(cost, len(drafts)) and not self._comparison.paused)
        longest = 1 if probing else LONGEST_DRAFT if self._guesses is None else self._guesses
        growing = [each for each in drafts if min(each.context.limit, longest) > 0]
        if probing:
            growing = growing[: (len(growing) + 1) // 2]
        # Expected number of decided tokens, number of windows, number of tokens tried.
        tokens, windows, tried = float(len(drafts)), len(drafts), 0
        # The cost of more than twice the largest call so far cannot be extrapolated.
        most = 2 * max(self._costs.largest, len(drafts))
        while growing and wanted:
            tried += len(growing)
            steps = sorted(self._steps(growing), key=lambda each: -each[0])
            growing = []
            for chance, draft, step in steps:
                # An additional window must decide more tokens per second than the others.
                gain = chance * (cost.fixed + cost.each * windows)
                pays = windows < most and gain > tokens * (cost.each + self._own)
                if not forced and not pays:
                    break
                draft.steps.append(step)
                draft.chance = chance
                tokens, windows = tokens + chance, windows + 1
                if len(draft.steps) < min(draft.context.limit, longest):
                    growing.append(draft)
        if tried:
            self._kind = "probe" if probing else "draft"
        return tried

    def _probes(self, cost: Cost, songs: int) -> bool:
        """Return whether to draft only to measure the cost of a larger call."""
        if self._guesses is not None or _saves_time(cost, songs):
            return False
        self._quiet += 1
        return self._quiet in PROBED_ROUNDS or self._quiet % PROBED_EVERY == 0

    def _steps(self, drafts: list[_Draft]) -> list[tuple[float, _Draft, _Step]]:
        """Draw one more token for each draft; return each with the chance of the whole draft."""
        windows = [each.context.window_after(each.tokens) for each in drafts]
        rows, sources = zip(*map(self._row, drafts, windows), strict=True)
        try:
            filtered = apply(self._chain, np.array(rows), np.array(windows))
        except BadOption:
            # The filters left no candidate in a draft row; the model's own rows may have some.
            return []
        noise = np.array([each.context.noise(len(each.steps)) for each in drafts])
        times = arrivals(filtered, noise)
        tokens = times.argmin(axis=1).tolist()
        bins = np.searchsorted(_MARGINS, _margins(times), side="right").tolist()
        result = []
        for at, draft in enumerate(drafts):
            place = sources[at], bins[at]
            chance = draft.chance * self._accepted[place] / self._verified[place]
            result.append((chance, draft, _Step(tokens[at], filtered[at], place)))
        return result

    def _row(
        self, draft: _Draft, window: NDArray[np.int64]
    ) -> tuple[NDArray[np.floating[Any]], int]:
        """Return the draft distribution after `window`, and its source: 2, 1 or 0 (n-gram)."""
        answers = self._answers[draft.context.song]
        last = window[-_CONTEXT:].tolist()
        for length in (2, 1):
            row = answers.get(tuple(last[-length:]))
            if row is not None:
                return row, length
        return self._uniform if self._ngram is None else self._ngram.row(last), 0

    def learn(
        self, song: int, windows: Windows, answers: Answer, rows: Rows, accepted: int
    ) -> None:
        """Update cache and acceptance rates with the result of a draft.

        Args:
            song: index of the song.
            windows: windows that were scored, int64 [1 + drafted, window].
            answers: probabilities of the model, float64 [1 + drafted, V].
            rows: the same after the filters, float64 [1 + drafted, V].
            accepted: number of accepted draft tokens.
        """
        cache = self._answers[song]
        for last, row in zip(windows[:, -2:].tolist(), answers.astype(np.float32), strict=True):
            for key in ((last[-1],), tuple(last)):
                cache.pop(key, None)
                cache[key] = row
        while len(cache) > self._limit:
            del cache[next(iter(cache))]
        steps = self._drafts.pop(song).steps
        verified = min(accepted + 1, len(steps))
        for number, step in enumerate(steps[:verified]):
            self._verified[step.place] += 1
            self._accepted[step.place] += number < accepted
            self.stats.overlap += float(np.minimum(step.row, rows[number]).sum())
        self.stats.tokens += accepted + 1
        self.stats.windows += len(windows)
        self.stats.verified += verified
        self.stats.accepted += accepted


def _saves_time(cost: Cost, songs: int) -> bool:
    """Return whether accepting all draft tokens would save much time at this cost."""
    return cost.fixed > WORTH_WHILE * (cost.fixed + cost.each * songs)


def _margins(times: Rows) -> NDArray[np.float64]:
    """Return the ratio of the second to the first arrival time of each race, float64 [n].

    With a large margin, the same token wins even if the row differs much from the model's.
    """
    if times.shape[1] == 1:
        return np.full(len(times), np.inf)
    first = np.partition(times, 1, axis=1)
    return np.asarray(first[:, 1] / first[:, 0])
