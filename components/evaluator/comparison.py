"""The comparison of a candidate with the served model on the same songs.

The two may differ in vocabulary, window and weights. Both predict the same frames: for the served
model they are encoded with its own vocabulary, which maps an unknown frame in a window to the
nearest token, as in a primer. A frame outside a vocabulary has no probability, so only frames in
both vocabularies are compared, by that part of each distribution, normalised:

p(w | h, w in both) = p(w | h) / sum of p(v | h) over the frames v in both vocabularies

So a smaller vocabulary is no advantage. With equal vocabularies this is p(w | h) itself. Models
with different tracks or grids are not compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.encodings.encoding import TokenVocabulary
from tunesmith.components.evaluator.likelihood import Predictor
from tunesmith.components.records.eval_windows import EvalWindows, Tokens
from tunesmith.music.struck import pack_decoded

LEAST_COMMON_SHARE = 0.9
"""Minimum share of the held-out frames that are in both vocabularies."""


class Model(Predictor, Protocol):
    """A predictor with a vocabulary."""

    @property
    def window(self) -> int:
        """Tokens in its input."""

    @property
    def vocabulary(self) -> TokenVocabulary:
        """The frame of each token, and the settings of its corpus."""


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison.

    Args:
        skipped: the reason if the models were not compared; None otherwise.
        windows: number of compared windows.
        common_share: share of the held-out frames that are in both vocabularies.
        nats: loss of the candidate, nats per frame; None if skipped.
        previous_nats: loss of the served model, nats per frame; None if skipped.
    """

    skipped: str | None = None
    windows: int = 0
    common_share: float | None = None
    nats: float | None = None
    previous_nats: float | None = None


def compare(
    candidate: Model,
    previous: Model,
    songs: Sequence[Tokens],
    advance: Callable[[int], None] = lambda _: None,
) -> Comparison:
    """Compare two models on the frames that are in both vocabularies.

    Args:
        candidate: the new model; the songs are in its tokens.
        previous: the served model.
        songs: held out, int32 [n] each.
        advance: called after each batch of either with the number of windows in it.
    """
    new, old = candidate.vocabulary, previous.vocabulary
    if reason := difference(new, old):
        return Comparison(f"the served model was trained on a different corpus: {reason}")
    translation, common = _translation(new, old)
    held_out = EvalWindows.of(songs, candidate.window, new.rests)
    known = common[held_out.targets]
    share = float(known.mean())
    if share < LEAST_COMMON_SHARE:
        return Comparison(
            f"the vocabulary of the served model has {share:.0%} of the held-out frames, too few "
            "to compare",
            common_share=share,
        )
    translated = EvalWindows.of([translation[song] for song in songs], previous.window, old.rests)
    in_old = np.zeros(len(old), dtype=bool)
    in_old[translation[common]] = True
    return Comparison(
        None,
        int(known.sum()),
        share,
        _conditional_nats(candidate, held_out.chosen(known), common, advance),
        _conditional_nats(previous, translated.chosen(known), in_old, advance),
    )


def _translation(new: TokenVocabulary, old: TokenVocabulary) -> tuple[Tokens, NDArray[np.bool_]]:
    """Return the token of `old` for each of `new`, int32 [V], and whether it is the same, bool [V].

    A token whose name `old` lacks becomes the token that `old` encodes its frame as.
    """
    known = {name: token for token, name in enumerate(old.names)}
    common = np.array([name in known for name in new.names])
    every = np.arange(len(new))
    nearest, _ = old.encode_song(pack_decoded(new.decode(every)), every)
    same = [known.get(name, 0) for name in new.names]
    return np.where(common, same, nearest).astype(np.int32), common


def difference(new: TokenVocabulary, old: TokenVocabulary) -> str | None:
    """Return the corpus setting that differs between two models; None if none does.

    Transposition does not count: it augments the training songs; held-out songs keep their keys.
    """
    if str(new.corpus.track) != str(old.corpus.track):
        return f"track {old.corpus.track}, now {new.corpus.track}"
    if new.corpus.encoding != old.corpus.encoding:
        return f"encoding {old.corpus.encoding}, now {new.corpus.encoding}"
    a, b = new.corpus.grid, old.corpus.grid
    for name in ("frames_per_beat", "keep_short_notes", "lowest", "highest"):
        if getattr(a, name) != getattr(b, name):
            return f"{name.replace('_', ' ')} {getattr(b, name)}, now {getattr(a, name)}"
    # The speed of a grid that follows the tempo is a mean over its songs, not a setting.
    speeds = new.frames_per_second, old.frames_per_second
    if not a.frames_per_beat and not math.isclose(*speeds, rel_tol=1e-5):
        return f"{speeds[1]:g} frames per second, now {speeds[0]:g}"
    return None


def _conditional_nats(
    predictor: Predictor,
    held_out: EvalWindows,
    among: NDArray[np.bool_],
    advance: Callable[[int], None],
) -> float:
    """Return the mean -log p(target | one of `among`), bool [V], of at least one window."""
    parts = []
    for windows, targets in held_out.batches():
        rows = predictor.probabilities(windows).astype(np.float64)
        of_target = rows[np.arange(len(targets)), targets]
        with np.errstate(divide="ignore", invalid="ignore"):
            parts.append(np.log(rows[:, among].sum(axis=1)) - np.log(of_target))
        advance(len(targets))
    return float(np.concatenate(parts).mean())
