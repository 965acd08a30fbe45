"""Songs being composed, without a network: which windows to ask about, and what answers decide.

A composer of any kind is the loop ``while not songs.done: songs.accept(ask(songs.queries()))``.
Randomness comes in as noise, so a song is a function of the model's answers and its noise alone: it
is the same whether it is composed alone or among others, at one go or in parts, with drafts or
without. Nothing here knows a server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tunesmith.client.errors import BadOption
from tunesmith.client.sampling import Filter, Noise, Rows, Windows, apply, draw


class Drafter(Protocol):
    """Guesses the next tokens of a song, so that one call decides several of them.

    A guess never changes a song, only how many calls it takes: it stands where it is the token that
    the model's own row and noise draw (the drafter-invariant coupling of Daliri, Musco and Suresh
    2024, arXiv 2408.07978, section 4).
    """

    @property
    def longest(self) -> int:
        """Tokens that a draft may have."""
        ...

    def draft(self, song: int, heard: NDArray[np.int64], noise: Rows) -> Sequence[int]:
        """Return the tokens that may come next, as many as `noise` has rows or fewer.

        Args:
            song: which of the songs.
            heard: int64 [window + drawn], its first window and all that was drawn since.
            noise: float64 [at most `longest`, V], what the next tokens will be drawn with.
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
        tokens = draw(apply(self._chain, probabilities, asked.windows), asked.noise).tolist()
        decided: list[list[int]] = [[] for _ in self._drawn]
        row = 0
        for song, draft in zip(asked.songs, asked.drafts, strict=True):
            decided[song] = _decided(tokens[row : row + len(draft) + 1], draft)
            row += len(draft) + 1
            for token in decided[song]:
                self._heard[song, self._window + self._drawn[song]] = token
                self._drawn[song] += 1
        return decided

    def _next_round(self) -> _Round:
        songs = [song for song, drawn in enumerate(self._drawn) if drawn < self._steps]
        drafts: list[list[int]] = []
        windows: list[NDArray[np.int64]] = []
        noises: list[Rows] = []
        for song in songs:
            draft, noise = self._drafted(song)
            drafts.append(draft)
            noises.append(noise)
            heard, start = self._heard[song], self._drawn[song]
            # What is drafted stands in its place until the answer decides.
            heard[start + self._window :][: len(draft)] = draft
            windows += [heard[at : at + self._window] for at in range(start, start + len(noise))]
        if not songs:
            return _Round([], [], np.zeros((0, self._window), np.int64), np.zeros((0, 0)))
        return _Round(songs, drafts, np.array(windows), np.concatenate(noises))

    def _drafted(self, song: int) -> tuple[list[int], Rows]:
        """Return the draft of a song, and the noise of its tokens and of the one after them."""
        drawn = self._drawn[song]
        first = self._first + drawn
        # The last token of a song needs no window after it.
        room = 0 if self._drafter is None else min(self._drafter.longest, self._steps - drawn - 1)
        noise = self._noises[song].steps(first, room + 1)
        if self._drafter is None or room == 0:
            return [], noise
        heard = self._heard[song, : self._window + drawn]
        draft = [int(token) for token in self._drafter.draft(song, heard, noise[:room])][:room]
        return draft, noise[: len(draft) + 1]


def _decided(drawn: list[int], draft: list[int]) -> list[int]:
    """Return the tokens that stand: up to and with the first that was not drafted so."""
    for place, guess in enumerate(draft):
        if drawn[place] != guess:
            return drawn[: place + 1]
    return drawn
