"""Requirements on a model's figures and on the measures of its songs: ``NAME<=VALUE``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tunesmith.components.artifacts import Check
from tunesmith.components.component import ParameterError

if TYPE_CHECKING:
    from tunesmith.components.evaluator.likelihood import Figures

FIGURES = ("nats", "perplexity", "top1", "top5", "expected_calibration_error")
"""Figures of the eval split that can be required, as ``evaluation.json`` names them."""

_FORM = re.compile(r"\s*(\w+)\s*(<=|>=)\s*(\S+)\s*")
_BOUNDS: dict[str, Literal["most", "least"]] = {"<=": "most", ">=": "least"}


@dataclass(frozen=True)
class Requirement:
    """A bound on one figure.

    Args:
        name: one of :func:`required_names`.
        bound: whether the value must be at most or at least `threshold`.
        threshold: a finite number.
    """

    name: str
    bound: Literal["most", "least"]
    threshold: float

    @classmethod
    def parse(cls, text: str) -> Requirement:
        """Read ``NAME<=VALUE`` or ``NAME>=VALUE``.

        Raises:
            ParameterError: the text has another form, or there is no figure or measure of that
                name.
        """
        found = _FORM.fullmatch(text)
        threshold = _number(found[3]) if found else math.nan
        if found is None or not math.isfinite(threshold):
            raise ParameterError(
                "require", f"must be NAME<=VALUE or NAME>=VALUE, such as nats<=2.5, not {text!r}"
            )
        if found[1] not in required_names():
            raise ParameterError(
                "require", f"must name one of {', '.join(required_names())}, not {found[1]}"
            )
        return cls(found[1], _BOUNDS[found[2]], threshold)

    def check(self, figures: Figures, music: Mapping[str, Any]) -> Check:
        """Check the figure, or the mean of the measure over the model's songs, against the bound.

        A measure without a value in any song fails, and so does a figure that is not a number.

        Args:
            figures: of the model on the eval split.
            music: of :func:`tunesmith.components.evaluator.song_measures.describe_music`.
        """
        operator = {bound: each for each, bound in _BOUNDS.items()}[self.bound]
        name = f"{self.name}{operator}{self.threshold:g}"
        required = f"at {self.bound} {self.threshold:g} is required"
        if self.name in FIGURES:
            value: float | None = _figure(figures, self.name)
            where = "on the eval split"
        else:
            value, songs = _mean(music, self.name)
            where = f"on average over {songs} songs"
        if value is None or not math.isfinite(value):
            return Check(name, False, f"{self.name} has no value {where}: {required}")
        passed = value <= self.threshold if self.bound == "most" else value >= self.threshold
        why = f"{self.name} is {value:.3f} {where}: {required}"
        return Check(name, passed, why, value, self.threshold, self.bound)


def parse_requirements(texts: Sequence[str]) -> list[Requirement]:
    """Read each of `texts`; see :meth:`Requirement.parse`."""
    return [Requirement.parse(text) for text in texts]


def required_names() -> tuple[str, ...]:
    """Return the names of all figures and measures that can be required."""
    # These modules import numpy, which --help must not.
    from tunesmith.components.evaluator.song_measures import COPIED_MEASURES
    from tunesmith.music.measures import MEASURES

    return (*FIGURES, *MEASURES, *COPIED_MEASURES)


def _figure(figures: Figures, name: str) -> float:
    column = "calibration_error" if name == "expected_calibration_error" else name
    return float(getattr(figures, column))


def _mean(music: Mapping[str, Any], name: str) -> tuple[float | None, int]:
    """Return the mean of a measure over the model's songs, and the number of songs."""
    if name not in music:
        return None, 0
    model = music[name]["model"]
    return model["mean"], len(model["values"])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
