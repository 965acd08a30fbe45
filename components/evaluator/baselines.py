"""The baselines of the Evaluator: predictors that are counted, not trained.

All are counted on the training split, song by song, each song after a context of rests like the
model's windows. They are proper distributions over the whole vocabulary in any context, so that
their likelihood is finite and can be compared with the model's. numpy alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.evaluator.likelihood import Predictor
from tunesmith.components.ngram.counting import NGram, Row
from tunesmith.components.ngram.window import WindowNGram
from tunesmith.components.records.eval_windows import EvalWindows, Tokens


def count_baselines(
    songs: Sequence[NDArray[np.integer[Any]]],
    vocabulary_size: int,
    window: int,
    rests: Sequence[int],
) -> dict[str, Predictor]:
    """Return every baseline by its name in
    :data:`tunesmith.components.evaluator.component.BASELINES`.

    Args:
        songs: the training split's tokens, integers [n] each.
        vocabulary_size: V.
        window: frames in the model's input.
        rests: the token of each part's rest, the context before a song's start.
    """
    with_window = WindowNGram.count(songs, vocabulary_size, window, rests)
    unigram = NGram.count(songs, vocabulary_size, 1, rests)
    return {
        "unigram": unigram,
        "repeat": Repeat.count(songs, unigram, rests),
        "5-gram": with_window.ngram,
        "5-gram+window": with_window,
    }


@dataclass(frozen=True)
class Repeat:
    """Repeats the last frame, or else draws any other by its frequency.

    p(w | v) = r if w = v, else (1 - r) u(w) / (1 - u(v))

    with u the unigram and r the share of the training frames that equal the frame before, by
    Laplace's rule of succession, (repeated + 1) / (frames + 2), so that it is neither 0 nor 1.

    Args:
        share: r.
        unigram: u, float64 [V].
    """

    share: float
    unigram: Row

    @classmethod
    def count(
        cls, songs: Sequence[NDArray[np.integer[Any]]], unigram: NGram, rests: Sequence[int]
    ) -> Repeat:
        """Count songs, integers [n] each; the token before the first is a rest."""
        windows = EvalWindows.of(songs, 1, rests)
        repeated = np.count_nonzero(windows.tokens[windows.starts] == windows.targets)
        row = unigram.probabilities(np.zeros((1, 0), dtype=np.int32))[0]
        return cls((repeated + 1) / (len(windows) + 2), row)

    def probabilities(self, windows: Tokens) -> Row:
        """Return float64 [n, V] for windows int32 [n, at least 1]."""
        if len(self.unigram) == 1:
            return np.ones((len(windows), 1))
        last = windows[:, -1]
        others = (1 - self.share) / (1 - self.unigram[last])
        result: Row = others[:, None] * self.unigram
        result[np.arange(len(windows)), last] = self.share
        return result
