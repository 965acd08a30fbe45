"""Songs being composed, without a network: which windows to ask about, and what answers decide.

A composer of any kind is the loop ``while not songs.done: songs.accept(ask(songs.queries()))``.
Randomness comes in as noise, so a song is a function of the model's answers and its noise alone: it
is the same whether it is composed alone or among others, at one go or in parts, with drafts or
without. Nothing here knows a server.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tunesmith.client.errors import BadOption
from tunesmith.client.sampling import Filter, Noise, Rows, Windows, apply, draw

NOISE_BLOCK = 8
"""Steps of which the noise is drawn at a time, which takes hardly longer than that of one."""


@dataclass(frozen=True)
class Ahead:
    """A song of which tokens may be guessed.

    Args:
        song: which of the songs.
        window: int64 [window], what the next token is drawn after.
        room: tokens that may be guessed, 0 or more.
        noise: of the next token (0), the one after it (1), and so on, up to `room` - 1; float64
            [V] each.
    """

    song: int
    window: NDArray[np.int64]
    room: int
    noise: Callable[[int], NDArray[np.float64]]

    def heard_with(self, guessed: Sequence[int]) -> NDArray[np.int64]:
        """Return the window after the tokens `guessed`, int64 [window]."""
        if not guessed:
            return self.window
        return np.concatenate([self.window, guessed])[-len(self.window) :]


class Drafter(Protocol):
    """Guesses the next tokens of songs, so that one call decides several of them.

    A guess never changes a song, only how many calls it takes: it stands where it is the token that
    the model's own row and noise draw (the drafter-invariant coupling of Daliri, Musco and Suresh
    2024, arXiv 2408.07978, section 4).
    """

    def draft(self, songs: Sequence[Ahead]) -> Sequence[Sequence[int]]:
        """Return the tokens that may come next in each song, as many as it has room for, or fewer.

        Called once for each call of the model, with the songs that are under way.
        """
        ...

    def learn(
        self,
        song: int,
        windows: Windows,
        answers: NDArray[np.floating[Any]],
        rows: Rows,
        stood: int,
    ) -> None:
        """Take note of what became of a song's draft.

        Args:
            song: which of the songs.
            windows: int64 [1 + drafted, window], those asked about.
            answers: [1 + drafted, V], the model's.
            rows: float64 [1 + drafted, V], the same after the filters.
            stood: drafted tokens that stood.
        """
        ...


@dataclass(frozen=True)
class _Round:
    """What one call asks: for each song under way a window, and one more after each draft token.

    `songs` are the songs in the order of their windows, `drafts` the tokens drafted for each;
    `windows` is int64 [m, window], `noise` float64 [m, V].
    """

    songs: list[int]
    drafts: list[list[int]]
    windows: Windows
    noise: Rows


class Composition:
    """Songs being composed side by side on one model.

    Args:
        windows: int64 [n, window], what each song is heard to begin after, oldest token first.
        steps: tokens to draw for each song; 0 or more.
        chain: the filters between a model's row and the draw.
        noises: the noise of each song.
        first: the step that a song's first drawn token is, which says which noise it is drawn with.
        drafter: guesses tokens ahead; None asks for one token of each song a call.
    """

    def __init__(
        self,
        windows: Windows,
        steps: int,
        chain: Sequence[Filter],
        noises: Sequence[Noise],
        *,
        first: int = 0,
        drafter: Drafter | None = None,
    ) -> None:
        count, self._window = windows.shape
        if len(noises) != count:
            raise BadOption(f"{count} songs have {count} noises, not {len(noises)}")
        self._steps = steps
        self._chain = tuple(chain)
        self._noises = noises
        self._first = first
        self._drafter = drafter
        self._heard = np.zeros((count, self._window + steps), dtype=np.int64)
        self._heard[:, : self._window] = windows
        self._drawn = [0] * count
        # By the step: some are drawn in advance, and that of a token drafted in vain is kept.
        self._noise_ahead: list[dict[int, NDArray[np.float64]]] = [{} for _ in noises]
        self._round: _Round | None = None

    @property
    def done(self) -> bool:
        """Whether every song has all its tokens."""
        return self.drawn == self._steps

    @property
    def drawn(self) -> int:
        """How many tokens every song has at least."""
        return min(self._drawn, default=self._steps)

    def tokens(self, song: int) -> NDArray[np.int64]:
        """Return the tokens that were drawn for one song so far, int64 [drawn]."""
        return self._heard[song, self._window : self._window + self._drawn[song]].copy()

    def queries(self) -> Windows:
        """Return the windows to be scored next, int64 [m, window]; the same until :meth:`accept`.

        One for each unfinished song, and one more for each token that was drafted for it.
        """
        if self._round is None:
            self._round = self._next_round()
        return self._round.windows

    def accept(self, probabilities: NDArray[np.floating[Any]]) -> list[list[int]]:
        """Draw from the answer to :meth:`queries`; return each song's newly decided tokens.

        Args:
            probabilities: [m, V], a row for each window, no negative values, each with a positive
                sum.

        Raises:
            BadOption: a filter left a row of which nothing can be drawn.
        """
        self.queries()
        asked, self._round = self._round, None
        assert asked is not None
        rows = apply(self._chain, probabilities, asked.windows)
        tokens = draw(rows, asked.noise).tolist()
        decided: list[list[int]] = [[] for _ in self._drawn]
        first = 0
        for song, draft in zip(asked.songs, asked.drafts, strict=True):
            some = slice(first, first + len(draft) + 1)
            first = some.stop
            stands = _decided(tokens[some], draft)
            decided[song] = stands
            start, drawn = self._window + self._drawn[song], len(stands)
            self._heard[song, start : start + drawn] = stands
            self._drawn[song] += drawn
            if self._drafter is not None:
                windows, answers = asked.windows[some], probabilities[some]
                self._drafter.learn(song, windows, answers, rows[some], drawn - 1)
        return decided

    def _next_round(self) -> _Round:
        songs = [song for song, drawn in enumerate(self._drawn) if drawn < self._steps]
        if not songs:
            return _Round([], [], np.zeros((0, self._window), np.int64), np.zeros((0, 0)))
        drafts = self._drafts(songs)
        windows: list[NDArray[np.int64]] = []
        noise: list[NDArray[np.float64]] = []
        for song, draft in zip(songs, drafts, strict=True):
            heard, start = self._heard[song], self._drawn[song]
            # What is drafted stands in its place until the answer decides.
            heard[start + self._window :][: len(draft)] = draft
            steps = range(start, start + len(draft) + 1)
            windows += [heard[step : step + self._window] for step in steps]
            noise += [self._noise(song, step) for step in steps]
            self._noise_ahead[song] = {
                step: row for step, row in self._noise_ahead[song].items() if step > start
            }
        return _Round(songs, drafts, np.array(windows), np.array(noise))

    def _drafts(self, songs: list[int]) -> list[list[int]]:
        """Return the draft of each song: none of the last token, which needs no window after it."""
        if self._drafter is None:
            return [[] for _ in songs]
        ahead = [
            Ahead(
                song,
                self._heard[song, self._drawn[song] :][: self._window],
                self._steps - self._drawn[song] - 1,
                partial(self._noise_after, song),
            )
            for song in songs
        ]
        drafts = zip(self._drafter.draft(ahead), ahead, strict=True)
        return [[int(token) for token in draft][: each.room] for draft, each in drafts]

    def _noise_after(self, song: int, number: int) -> NDArray[np.float64]:
        return self._noise(song, self._drawn[song] + number)

    def _noise(self, song: int, step: int) -> NDArray[np.float64]:
        """Return what the token of `step` is drawn with, float64 [V]."""
        ahead = self._noise_ahead[song]
        if step not in ahead:
            count = min(NOISE_BLOCK, self._steps - step)
            rows = self._noises[song].steps(self._first + step, count)
            ahead.update(zip(range(step, step + count), rows, strict=True))
        return ahead[step]


def _decided(drawn: list[int], draft: list[int]) -> list[int]:
    """Return the tokens that stand: up to and with the first that was not drafted so."""
    for place, guess in enumerate(draft):
        if drawn[place] != guess:
            return drawn[: place + 1]
    return drawn
