"""Composed songs beside the corpus: every measure of :mod:`tunesmith.music`, with its range there.

Measures depend on a song's length, so the corpus is measured by the beginnings of its songs, as
long as the composed ones, which begin where songs begin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tunesmith.components.encodings.encoding import TokenVocabulary
from tunesmith.components.records.eval_windows import Tokens
from tunesmith.music.copying import copied_stretches
from tunesmith.music.measures import MEASURES

LOW, HIGH = 0.05, 0.95
"""Quantiles of the corpus's songs that bound its range."""


def describe_music(
    vocabulary: TokenVocabulary,
    composed: Sequence[Tokens],
    train: Sequence[Tokens],
    corpus: Sequence[Tokens],
    held_out: Sequence[Tokens],
    steps: int,
    copied_frames: int,
) -> dict[str, Any]:
    """Return ``{measure: {"unit", "meaning", "model", "corpus"}}``.

    ``model`` has the ``values`` of each song and their ``mean``, ``corpus`` what :func:`_range`
    says. What is copied from the training split is compared with held-out songs, which have in
    common with it what any music of the kind has; everything else with training songs.

    Args:
        vocabulary: of all tokens.
        composed: songs of the model, int32 [steps] each; may be none.
        train: all training songs, int32 [n] each.
        corpus: those of them that are measured.
        held_out: songs that the model did not learn from.
        steps: frames of a song that are looked at.
        copied_frames: of a stretch that counts as copied.
    """
    described = {}
    sides = [[vocabulary.decode(song[:steps]) for song in songs] for songs in (composed, corpus)]
    for name, measure in MEASURES.items():
        values, reference = ([measure.of(frames) for frames in side] for side in sides)
        described[name] = _entry(measure.unit, measure.meaning, values, reference, "train")
    beginnings = [song[:steps] for song in held_out]
    copied = copied_stretches([*composed, *beginnings], train, copied_frames)
    for name, unit, meaning, column in (
        ("longest_copied_run", "frames", "longest stretch found in a training song", "longest"),
        (
            "longest_copied_changes",
            "frames",
            "changes of the frame within a stretch found in a training song",
            "changes",
        ),
        (
            "copied_share",
            "share",
            f"frames within stretches of {copied_frames} or more found in a training song",
            "share",
        ),
    ):
        both = [float(getattr(each, column)) for each in copied]
        values, reference = both[: len(composed)], both[len(composed) :]
        described[name] = _entry(unit, meaning, values, reference, "held out")
    return described


def _entry(
    unit: str, meaning: str, values: Sequence[float], reference: Sequence[float], songs: str
) -> dict[str, Any]:
    known = np.array([value for value in values if not np.isnan(value)])
    return {
        "unit": unit,
        "meaning": meaning,
        "model": {"values": list(values), "mean": float(known.mean()) if len(known) else None},
        "corpus": {"of": songs, **_range(reference)},
    }


def _range(values: Sequence[float]) -> dict[str, Any]:
    """Return the 5 % and 95 % quantiles and the median of the songs that have a value."""
    known = [value for value in values if not np.isnan(value)]
    low, median, high = np.quantile(known, (LOW, 0.5, HIGH)).tolist() if known else [None] * 3
    return {"low": low, "median": median, "high": high, "songs": len(known)}
