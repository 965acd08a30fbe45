"""Speculative sampling: guess the next tokens, so that one call decides several of them.

A guess is drawn as the token itself will be: the same exponential race with the same noise, but
with a distribution that costs no call. It stands where it is the token that the model's own row
then draws. So the songs are those of the model, token for token, whatever is guessed (up to the
server's own float32 rounding, which may differ with the size of a call): the drafter-invariant
coupling of Daliri, Musco and Suresh 2024, "Coupling without Communication and Drafter-Invariant
Speculative Decoding" (arXiv 2408.07978). The rule of Leviathan, Kalman and Matias 2023 and of Chen
et al. 2023 keeps the distribution alone, and may accept more: benchmarks/generate.py prints both.

The distribution of a guess is what the model last answered in this song after the same two tokens,
or else after the same one, or else what the n-gram of the training songs says. It is a cache
language model (Kuhn and De Mori 1990) of whole answers instead of words: an answer says of every
token what a word says of one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.client.composition import Ahead
from tunesmith.client.errors import BadOption
from tunesmith.client.ngram import NGram
from tunesmith.client.pace import Cost, Kind, Pace, Trial
from tunesmith.client.sampling import Filter, Rows, Windows, apply, arrivals

Answer = NDArray[np.floating[Any]]

LONGEST = 16
"""Tokens that are guessed at a time at most."""

MEMORY_BYTES = 64 * 2**20
"""Of all answers that are remembered for guesses."""

WORTH_WHILE = 0.5
"""Of a call's cost, the least share that does not grow with the windows: below, guesses that all
stood would not even halve the time, and a share that is judged a little too high costs more."""

PROBED = (1, 3)
"""Which rounds of songs that are not guessed ahead make some guesses, to see what these cost."""

PROBED_EVERY = 256
"""Rounds, after which that is seen once more."""

_CONTEXT = 4
"""Tokens that the n-gram looks back, and more than the answers are remembered by."""

# How much later the second token of a guess's race arrived than the first: the bins of the odds.
_MARGINS = np.array([1.25, 1.5, 2.0, 3.0, 6.0, 12.0, 30.0])

# The odds of a guess by where its row is from and by its margin, before any is known to have stood:
# rounded from a dozen songs of the paper's network. Every song corrects them for itself.
_FIRST_ODDS = np.array(
    [
        [0.22, 0.25, 0.33, 0.33, 0.45, 0.60, 0.60, 0.75],
        [0.45, 0.60, 0.65, 0.80, 0.85, 0.90, 0.96, 0.98],
        [0.65, 0.80, 0.88, 0.93, 0.97, 0.99, 0.99, 0.99],
    ]
)
_FIRST_ODDS_COUNT = 8.0


@dataclass
class Tally:
    """What came of it.

    Attributes:
        calls: asked of the model.
        windows: that they held.
        tokens: that they decided.
        judged: guesses whose row was one of the song's: up to the first of a call that fell.
        stood: of these, those that became tokens.
        overlap: the sum over the judged of ``sum(min(p, q))``: how many of them the rule of
            Leviathan et al. 2023 would accept in expectation (their corollary 3.6).
    """

    calls: int = 0
    windows: int = 0
    tokens: int = 0
    judged: int = 0
    stood: int = 0
    overlap: float = 0.0


@dataclass
class _Step:
    """One guessed token: the row it was drawn from, and where in the table of odds it stands."""

    token: int
    row: NDArray[np.float64]
    place: tuple[int, int]


@dataclass
class _Draft:
    """What is guessed of a song; `chance` is that of all of it to stand."""

    ahead: Ahead
    steps: list[_Step] = field(default_factory=list)
    chance: float = 1.0

    @property
    def tokens(self) -> list[int]:
        return [step.token for step in self.steps]


class Speculation:
    """A drafter that knows what it costs; see :class:`tunesmith.client.composition.Drafter`.

    Args:
        size: V.
        songs: how many are composed side by side.
        chain: the filters of these songs, which apply to the guesses as to the model's rows.
        guesses: tokens to guess ahead in each call; None for as many as pay.
        clock: seconds, to know what guessing costs.
    """

    def __init__(
        self,
        size: int,
        songs: int,
        chain: Sequence[Filter],
        guesses: int | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.tally = Tally()
        self._chain = tuple(chain)
        self._songs = songs
        self._ngram: NGram | None = None
        self._without_ngram = False
        self._guesses = guesses
        self._clock = clock
        # By the last token of a window, and by the last two; the oldest answer first.
        self._answers: list[dict[tuple[int, ...], NDArray[np.float32]]] = [{} for _ in range(songs)]
        self._limit = min(max(MEMORY_BYTES // (4 * size * songs), 16), 1024)
        self._uniform = np.full(size, 1 / size)
        self._offered = np.full(_FIRST_ODDS.shape, _FIRST_ODDS_COUNT)
        self._stood = _FIRST_ODDS * _FIRST_ODDS_COUNT
        self._pace = Pace()
        # Seconds of guessing one token; and what the round that is under way took so far.
        self._own = 0.0
        self._seconds, self._tokens = 0.0, 0
        self._trial = Trial()
        self._quiet = 0
        self._drafts: dict[int, _Draft] = {}
        self._kind: Kind = "plain"

    def took(self, windows: int, seconds: float) -> None:
        """Take note of how long a call of `windows` windows took."""
        self.tally.calls += 1
        self._seconds += seconds
        self._pace.record(windows, seconds)

    @property
    def wants_ngram(self) -> bool:
        """Whether guesses are about to be made, and what the model's n-gram is is not known yet."""
        cost = self._pace.cost
        if cost is None or self._ngram is not None or self._without_ngram:
            return False
        return self._guesses is not None or _leaves_room(cost, self._songs)

    def take_ngram(self, ngram: NGram | None) -> None:
        """Guess by `ngram` where nothing better is known; None for a model that has none."""
        self._ngram, self._without_ngram = ngram, ngram is None

    def draft(self, songs: Sequence[Ahead]) -> list[list[int]]:
        """Return what is guessed of each song, at most its room; nothing in the first round."""
        self._trial.close(self._kind, self.tally.tokens - self._tokens, self._seconds)
        self._kind, self._tokens, self._seconds = "plain", self.tally.tokens, 0.0
        drafts = [_Draft(each) for each in songs]
        self._drafts = {each.ahead.song: each for each in drafts}
        cost = self._pace.cost
        if cost is not None:
            started = self._clock()
            tried = self._grow(drafts, cost)
            if tried:
                self._seconds = self._clock() - started
                own = self._seconds / tried
                self._own = own if self._own == 0 else 0.9 * self._own + 0.1 * own
        return [each.tokens for each in drafts]

    def _grow(self, drafts: list[_Draft], cost: Cost) -> int:
        """Guess token after token of every song while it pays; return how many were tried."""
        probing = self._probes(cost, len(drafts))
        forced = probing or self._guesses is not None
        wanted = forced or (_leaves_room(cost, len(drafts)) and not self._trial.paused)
        longest = 1 if probing else LONGEST if self._guesses is None else self._guesses
        growing = [each for each in drafts if min(each.ahead.room, longest) > 0]
        if probing:
            growing = growing[: (len(growing) + 1) // 2]
        # Tokens that the call is expected to decide, and the windows that it holds.
        tokens, windows, tried = float(len(drafts)), len(drafts), 0
        # What twice as many windows as ever cost is not to be told from what fewer do.
        most = 2 * max(self._pace.largest, len(drafts))
        while growing and wanted:
            tried += len(growing)
            steps = sorted(self._steps(growing), key=lambda each: -each[0])
            growing = []
            for chance, draft, step in steps:
                # One window more must bring more tokens a second than the windows before it.
                gain = chance * (cost.fixed + cost.each * windows)
                pays = windows < most and gain > tokens * (cost.each + self._own)
                if not forced and not pays:
                    break
                draft.steps.append(step)
                draft.chance = chance
                tokens, windows = tokens + chance, windows + 1
                if len(draft.steps) < min(draft.ahead.room, longest):
                    growing.append(draft)
        if tried:
            self._kind = "probe" if probing else "guess"
        return tried

    def _probes(self, cost: Cost, songs: int) -> bool:
        """Whether to guess only to see what a larger call costs: where nothing is guessed now."""
        if self._guesses is not None or _leaves_room(cost, songs):
            return False
        self._quiet += 1
        return self._quiet in PROBED or self._quiet % PROBED_EVERY == 0

    def _steps(self, drafts: list[_Draft]) -> list[tuple[float, _Draft, _Step]]:
        """Guess one more token of each draft; return each with the chance of the whole draft."""
        heard = [each.ahead.heard_with(each.tokens) for each in drafts]
        rows, sources = zip(*map(self._row, drafts, heard), strict=True)
        try:
            filtered = apply(self._chain, np.array(rows), np.array(heard))
        except BadOption:
            # The filters leave nothing of a guess, which says nothing of the model's own rows.
            return []
        noise = np.array([each.ahead.noise(len(each.steps)) for each in drafts])
        times = arrivals(filtered, noise)
        tokens = times.argmin(axis=1).tolist()
        bins = np.searchsorted(_MARGINS, _margins(times), side="right").tolist()
        result = []
        for at, draft in enumerate(drafts):
            place = sources[at], bins[at]
            chance = draft.chance * self._stood[place] / self._offered[place]
            result.append((chance, draft, _Step(tokens[at], filtered[at], place)))
        return result

    def _row(
        self, draft: _Draft, heard: NDArray[np.int64]
    ) -> tuple[NDArray[np.floating[Any]], int]:
        """Return the distribution after `heard`, and how well it is known: 2, 1 or 0."""
        answers = self._answers[draft.ahead.song]
        last = heard[-_CONTEXT:].tolist()
        for length in (2, 1):
            row = answers.get(tuple(last[-length:]))
            if row is not None:
                return row, length
        return self._uniform if self._ngram is None else self._ngram.row(last), 0

    def learn(self, song: int, windows: Windows, answers: Answer, rows: Rows, stood: int) -> None:
        """Take note of what the model answered for a song, and of the guesses that stood.

        Args:
            song: which of the songs.
            windows: int64 [1 + guessed, window], those asked about.
            answers: float64 [1 + guessed, V], the model's.
            rows: float64 [1 + guessed, V], the same after the filters.
            stood: guesses that became tokens.
        """
        remembered = self._answers[song]
        for last, row in zip(windows[:, -2:].tolist(), answers.astype(np.float32), strict=True):
            for key in ((last[-1],), tuple(last)):
                remembered.pop(key, None)
                remembered[key] = row
        while len(remembered) > self._limit:
            del remembered[next(iter(remembered))]
        steps = self._drafts.pop(song).steps
        judged = min(stood + 1, len(steps))
        for number, step in enumerate(steps[:judged]):
            self._offered[step.place] += 1
            self._stood[step.place] += number < stood
            self.tally.overlap += float(np.minimum(step.row, rows[number]).sum())
        self.tally.tokens += stood + 1
        self.tally.windows += len(windows)
        self.tally.judged += judged
        self.tally.stood += stood


def _leaves_room(cost: Cost, songs: int) -> bool:
    """Whether guesses that all stand would pay well at this cost."""
    return cost.fixed > WORTH_WHILE * (cost.fixed + cost.each * songs)


def _margins(times: Rows) -> NDArray[np.float64]:
    """Return how much later the second token of each race arrives than the first, float64 [n].

    The larger, the less a row may differ from the model's for the same token to win.
    """
    if times.shape[1] == 1:
        return np.full(len(times), np.inf)
    first = np.partition(times, 1, axis=1)
    return np.asarray(first[:, 1] / first[:, 0])
