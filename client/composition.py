"""The sampling loop without I/O: which windows to score next, and which tokens to draw.

A composer is the loop ``while not songs.done: songs.accept(score(songs.queries()))``. Random noise
is passed in, so a song is a function of the model's probabilities and of its noise. It is the same
song alone or in a batch, in one run or in parts, with or without draft tokens.
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
"""Number of steps whose noise is drawn at a time; it takes hardly longer than for one step."""


@dataclass(frozen=True)
class DraftContext:
    """Input of a draft model for one song.

    Args:
        song: index of the song.
        window: context of the next token, int64 [window].
        limit: maximum number of draft tokens, 0 or more.
        noise: function that returns the noise, float64 [V], of the next token (0), the token after
            it (1), and so on, up to `limit` - 1.
    """

    song: int
    window: NDArray[np.int64]
    limit: int
    noise: Callable[[int], NDArray[np.float64]]

    def window_after(self, draft: Sequence[int]) -> NDArray[np.int64]:
        """Return the window after the draft tokens, int64 [window]."""
        if not draft:
            return self.window
        return np.concatenate([self.window, draft])[-len(self.window) :]


class DraftModel(Protocol):
    """Proposes draft tokens, so that one call can decide several tokens of a song.

    Draft tokens never change a song, only the number of calls: a draft token is accepted if it
    equals the token drawn from the model's own row with the same noise (the drafter-invariant
    coupling of Daliri, Musco and Suresh 2024, arXiv 2408.07978, section 4).
    """

    def draft(self, songs: Sequence[DraftContext]) -> Sequence[Sequence[int]]:
        """Return the draft tokens of each song, at most `limit` of them.

        Called once before each call of the model, with the unfinished songs.
        """
        ...

    def learn(
        self,
        song: int,
        windows: Windows,
        answers: NDArray[np.floating[Any]],
        rows: Rows,
        accepted: int,
    ) -> None:
        """Update the draft model with the result of a draft.

        Args:
            song: index of the song.
            windows: windows that were scored, int64 [1 + drafted, window].
            answers: probabilities of the model, [1 + drafted, V].
            rows: the same after the filters, float64 [1 + drafted, V].
            accepted: number of accepted draft tokens.
        """
        ...


@dataclass(frozen=True)
class _Round:
    """The windows of one call: one for each unfinished song, and one after each draft token.

    `songs` are the indices of the songs in the order of their windows, `drafts` their draft tokens;
    `windows` is int64 [m, window], `noise` float64 [m, V].
    """

    songs: list[int]
    drafts: list[list[int]]
    windows: Windows
    noise: Rows


class Composition:
    """A batch of songs in generation.

    Args:
        windows: initial window of each song, int64 [n, window], oldest token first.
        steps: number of tokens to draw for each song, 0 or more.
        chain: sampling filters.
        noises: noise of each song.
        first: step number of the first token to draw, which selects its noise.
        draft_model: proposes draft tokens; None draws one token of each song per call.
    """

    def __init__(
        self,
        windows: Windows,
        steps: int,
        chain: Sequence[Filter],
        noises: Sequence[Noise],
        *,
        first: int = 0,
        draft_model: DraftModel | None = None,
    ) -> None:
        count, self._window = windows.shape
        if len(noises) != count:
            raise BadOption(f"{count} songs need {count} noises, not {len(noises)}")
        self._steps = steps
        self._chain = tuple(chain)
        self._noises = noises
        self._first = first
        self._draft_model = draft_model
        self._context = np.zeros((count, self._window + steps), dtype=np.int64)
        self._context[:, : self._window] = windows
        self._drawn = [0] * count
        # Noise by step: drawn in blocks, and kept for the steps of rejected draft tokens.
        self._noise_ahead: list[dict[int, NDArray[np.float64]]] = [{} for _ in noises]
        self._round: _Round | None = None

    @property
    def done(self) -> bool:
        """True if all songs are finished."""
        return self.drawn == self._steps

    @property
    def drawn(self) -> int:
        """Number of tokens drawn for all songs."""
        return min(self._drawn, default=self._steps)

    def tokens(self, song: int) -> NDArray[np.int64]:
        """Return the tokens drawn for one song so far, int64 [drawn]."""
        return self._context[song, self._window : self._window + self._drawn[song]].copy()

    def queries(self) -> Windows:
        """Return the windows to score next, int64 [m, window]; the same until :meth:`accept`.

        One window for each unfinished song, and one for each of its draft tokens.
        """
        if self._round is None:
            self._round = self._next_round()
        return self._round.windows

    def accept(self, probabilities: NDArray[np.floating[Any]]) -> list[list[int]]:
        """Draw tokens from the probabilities of :meth:`queries`; return each song's new tokens.

        Args:
            probabilities: one row for each window, [m, V], not negative, each with a positive sum.

        Raises:
            BadOption: a filter left a row without positive values.
        """
        self.queries()
        current, self._round = self._round, None
        assert current is not None
        rows = apply(self._chain, probabilities, current.windows)
        tokens = draw(rows, current.noise).tolist()
        decided: list[list[int]] = [[] for _ in self._drawn]
        first = 0
        for song, draft in zip(current.songs, current.drafts, strict=True):
            span = slice(first, first + len(draft) + 1)
            first = span.stop
            accepted = _decided(tokens[span], draft)
            decided[song] = accepted
            start, drawn = self._window + self._drawn[song], len(accepted)
            self._context[song, start : start + drawn] = accepted
            self._drawn[song] += drawn
            if self._draft_model is not None:
                windows, answers = current.windows[span], probabilities[span]
                self._draft_model.learn(song, windows, answers, rows[span], drawn - 1)
        return decided

    def _next_round(self) -> _Round:
        songs = [song for song, drawn in enumerate(self._drawn) if drawn < self._steps]
        if not songs:
            return _Round([], [], np.zeros((0, self._window), np.int64), np.zeros((0, 0)))
        drafts = self._drafts(songs)
        windows: list[NDArray[np.int64]] = []
        noise: list[NDArray[np.float64]] = []
        for song, draft in zip(songs, drafts, strict=True):
            context, start = self._context[song], self._drawn[song]
            # Draft tokens are part of the context until `accept` replaces the rejected ones.
            context[start + self._window :][: len(draft)] = draft
            steps = range(start, start + len(draft) + 1)
            windows += [context[step : step + self._window] for step in steps]
            noise += [self._noise(song, step) for step in steps]
            self._noise_ahead[song] = {
                step: row for step, row in self._noise_ahead[song].items() if step > start
            }
        return _Round(songs, drafts, np.array(windows), np.array(noise))

    def _drafts(self, songs: list[int]) -> list[list[int]]:
        """Return the draft tokens of each song, at most up to the token before its last."""
        if self._draft_model is None:
            return [[] for _ in songs]
        contexts = [
            DraftContext(
                song,
                self._context[song, self._drawn[song] :][: self._window],
                self._steps - self._drawn[song] - 1,
                partial(self._noise_after, song),
            )
            for song in songs
        ]
        drafts = zip(self._draft_model.draft(contexts), contexts, strict=True)
        return [[int(token) for token in draft][: each.limit] for draft, each in drafts]

    def _noise_after(self, song: int, number: int) -> NDArray[np.float64]:
        return self._noise(song, self._drawn[song] + number)

    def _noise(self, song: int, step: int) -> NDArray[np.float64]:
        """Return the noise of the token of `step`, float64 [V]."""
        ahead = self._noise_ahead[song]
        if step not in ahead:
            count = min(NOISE_BLOCK, self._steps - step)
            rows = self._noises[song].steps(self._first + step, count)
            ahead.update(zip(range(step, step + count), rows, strict=True))
        return ahead[step]


def _decided(drawn: list[int], draft: list[int]) -> list[int]:
    """Return the drawn tokens up to and including the first that differs from the draft."""
    for place, guess in enumerate(draft):
        if drawn[place] != guess:
            return drawn[: place + 1]
    return drawn
