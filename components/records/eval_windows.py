"""The windows of held-out songs, laid out without repeating a token. numpy alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.records.padding import padding
from tunesmith.components.spread import evenly

BATCH = 256
"""Batch size: bounds the memory to a few megabytes of probabilities."""

Tokens = NDArray[np.int32]


@dataclass(frozen=True)
class EvalWindows:
    """The windows of some songs, in the songs' order, without repeating a token.

    A song of n tokens gives n windows; the first is all rests and its target is the first token.

    Args:
        tokens: int32 [total], the songs one after another, each behind `window` rests.
        starts: int64 [windows], where in `tokens` each window begins.
        window: tokens in a window.
    """

    tokens: Tokens
    starts: NDArray[np.int64]
    window: int

    @classmethod
    def of(
        cls, songs: Sequence[NDArray[np.integer[Any]]], window: int, rests: Sequence[int]
    ) -> EvalWindows:
        """Lay out songs, integers [n] each, behind the rests of their parts."""
        before = padding(rests, window)
        parts = [part for song in songs for part in (before, song.astype(np.int32))]
        lengths = np.array([len(song) for song in songs], dtype=np.int64)
        number = np.repeat(np.arange(len(songs)), lengths)
        starts = np.arange(len(number), dtype=np.int64) + window * number
        return cls(np.concatenate([before[:0], *parts]), starts, window)

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def targets(self) -> Tokens:
        """The token that follows each window, int32 [windows]."""
        return self.tokens[self.starts + self.window]

    def windows(self, some: NDArray[np.int64] | slice) -> Tokens:
        """Return the windows with these numbers, int32 [n, window]."""
        return self.tokens[self.starts[some][:, None] + np.arange(self.window)]

    def chosen(self, mask: NDArray[np.bool_]) -> EvalWindows:
        """Return the windows where `mask`, bool [windows], is true."""
        return EvalWindows(self.tokens, self.starts[mask], self.window)

    def spread(self, count: int) -> EvalWindows:
        """Return at most `count` of the windows, evenly spread."""
        return EvalWindows(self.tokens, self.starts[evenly(len(self), count)], self.window)

    def batches(self, batch: int = BATCH) -> Iterator[tuple[Tokens, Tokens]]:
        """Yield (windows int32 [n, window], targets int32 [n]), n at most `batch`."""
        targets = self.targets
        for first in range(0, len(self), batch):
            some = slice(first, first + batch)
            yield self.windows(some), targets[some]
