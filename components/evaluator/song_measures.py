"""Music measures of composed songs, compared with the corpus.

Measures depend on the length of a song, so the corpus is measured by the beginnings of its songs,
as long as the composed ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.encodings.encoding import TokenVocabulary, sounding_numbers
from tunesmith.components.records.eval_windows import Tokens
from tunesmith.music.copying import copied_stretches
from tunesmith.music.measures import MEASURES

QUANTILES = {
    "low": 0.05,
    "lower_quartile": 0.25,
    "median": 0.5,
    "upper_quartile": 0.75,
    "high": 0.95,
}
"""Quantiles of the corpus by name; a song between ``low`` and ``high`` is within the range."""

COPIED_MEASURES = {
    "longest_copied_run": ("frames", "longest stretch found in a training song", "longest"),
    "longest_copied_changes": (
        "frames",
        "changes of the frame within a stretch found in a training song",
        "changes",
    ),
    "copied_share": (
        "share",
        "frames within stretches of {} or more found in a training song",
        "share",
    ),
}
"""Measures of stretches copied from training songs: unit, meaning, and the field of
:class:`tunesmith.music.copying.Copied`."""

RESAMPLES = 1000
"""Bootstrap samples; the error of their own number is then 2 % (Efron and Tibshirani 1993,
"An Introduction to the Bootstrap", section 6.4, take 200 for enough)."""


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

    ``corpus`` has the :data:`QUANTILES` of its songs, the ``median_error`` and how many ``songs``
    have a value. ``model`` has the ``values`` of each song, their ``mean`` and ``median``, how many
    lie ``within`` low and high of the corpus, and whether the median lies between the corpus's
    quartiles, widened by the median's error (``median_within``). What is copied from the training
    split is compared with held-out songs, which have in common with it what any music of the kind
    has; everything else with training songs. All is measured on plain frames, so that models of
    different encodings compare.

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
    sounding = sounding_numbers(vocabulary)
    ours, others, learned = (
        [sounding[song[:end]] for song in songs]
        for songs, end in ((composed, None), (held_out, steps), (train, None))
    )
    copied = copied_stretches([*ours, *others], learned, copied_frames)
    for name, (unit, meaning, column) in COPIED_MEASURES.items():
        both = [float(getattr(each, column)) for each in copied]
        values, reference = both[: len(composed)], both[len(composed) :]
        described[name] = _entry(unit, meaning.format(copied_frames), values, reference, "held out")
    return described


def _entry(
    unit: str, meaning: str, values: Sequence[float], reference: Sequence[float], songs: str
) -> dict[str, Any]:
    known = _known(values)
    corpus = _range(_known(reference))
    model: dict[str, Any] = {
        "values": list(values),
        "mean": float(known.mean()) if len(known) else None,
        "median": float(np.median(known)) if len(known) else None,
        "within": None,
        "median_within": None,
    }
    if corpus["songs"] and len(values):
        within = (known >= corpus["low"]) & (known <= corpus["high"])
        model["within"] = int(np.count_nonzero(within))
    if corpus["songs"] and len(known):
        least = corpus["lower_quartile"] - corpus["median_error"]
        most = corpus["upper_quartile"] + corpus["median_error"]
        model["median_within"] = bool(least <= model["median"] <= most)
    return {
        "unit": unit,
        "meaning": meaning,
        "model": model,
        "corpus": {"of": songs, **corpus},
    }


def _known(values: Sequence[float]) -> NDArray[np.float64]:
    """Return the values of the songs that have one."""
    return np.array([value for value in values if not np.isnan(value)], dtype=np.float64)


def _range(known: NDArray[np.float64]) -> dict[str, Any]:
    """Return the quantiles, the standard error of the median, and the number of songs."""
    if not len(known):
        return {**dict.fromkeys(QUANTILES), "median_error": None, "songs": 0}
    found = np.quantile(known, list(QUANTILES.values())).tolist()
    return {
        **dict(zip(QUANTILES, found, strict=True)),
        "median_error": median_error(known),
        "songs": len(known),
    }


def median_error(values: NDArray[np.float64]) -> float:
    """Return the standard error of the median by bootstrap (Efron 1979), always the same number.

    Args:
        values: float64 [n], at least one.
    """
    places = np.random.default_rng(0).integers(0, len(values), (RESAMPLES, len(values)))
    return float(np.median(values[places], axis=1).std())
