"""Whether a model may be served: checks, each with its number and its bound.

Pure: decides on figures that were measured elsewhere, and never raises because a figure is bad.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tunesmith.components.evaluator.baselines import BASELINES
from tunesmith.components.evaluator.comparison import Comparison
from tunesmith.components.evaluator.likelihood import Figures

SUM_TOLERANCE = 1e-3
"""How far a row of probabilities may lie from one; float32 over thousands of frames stays below
1e-4. Of rows that sum to more a likelihood says nothing."""


@dataclass(frozen=True)
class BlessingParameters:
    """What a model must do on the eval split.

    Args:
        beat: the baselines that it must beat, of
        :data:`~tunesmith.components.evaluator.baselines.BASELINES`.
        baseline_margin: by how many nats a frame at least.
        previous_margin: by how many nats a frame it may be worse than the last blessed model.
    """

    beat: tuple[str, ...] = BASELINES
    baseline_margin: float = 0.02
    previous_margin: float = 0.05

    def __post_init__(self) -> None:
        for name in self.beat:
            if name not in BASELINES:
                raise ValueError(f"a baseline is one of {', '.join(BASELINES)}, not {name!r}")
        for name in ("baseline_margin", "previous_margin"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name.replace('_', ' ')} must be at least 0 nats")


@dataclass(frozen=True)
class Check:
    """One condition of the blessing.

    Args:
        name: stable, for programs.
        passed: whether the model meets it.
        value: what was measured; None if nothing could be.
        threshold: what it was held against.
        bound: whether the value must be at least or at most the threshold.
        why: one line for people.
        skipped: whether there was nothing to hold the model against, which counts as passed.
    """

    name: str
    passed: bool
    value: float | None
    threshold: float | None
    bound: Literal["least", "most"]
    why: str
    skipped: bool = False


def check_model(
    figures: Figures,
    baselines: Mapping[str, Figures],
    previous: Comparison | None,
    parameters: BlessingParameters,
) -> list[Check]:
    """Return all checks; a model is blessed if all are passed.

    Args:
        figures: of the model.
        baselines: theirs, by name.
        previous: beside the last blessed model; None if there is none.
        parameters: what is asked.
    """
    return [
        _finite(figures),
        _sums(figures),
        *(
            _beats(name, baselines[name].nats, figures.nats, parameters.baseline_margin)
            for name in parameters.beat
        ),
        _not_worse(previous, parameters.previous_margin),
    ]


def _finite(figures: Figures) -> Check:
    finite = math.isfinite(figures.nats)
    why = (
        f"every held-out frame has a likelihood, {figures.nats:.3f} nats on average"
        if finite
        else "a held-out frame has no likelihood: train again with a smaller learning rate"
    )
    return Check("finite likelihood", finite, float(finite), 1.0, "least", why)


def _sums(figures: Figures) -> Check:
    passed = figures.sum_error <= SUM_TOLERANCE
    why = f"rows of probabilities sum to one but for {figures.sum_error:.1g} at most"
    return Check("rows sum to one", passed, figures.sum_error, SUM_TOLERANCE, "most", why)


def _beats(name: str, baseline: float, model: float, margin: float) -> Check:
    gain = baseline - model
    why = f"{model:.3f} nats a frame, the {name} baseline {baseline:.3f}"
    return Check(f"beats {name}", gain >= margin, gain, margin, "least", why)


def _not_worse(previous: Comparison | None, margin: float) -> Check:
    name = "not worse than the last blessed model"
    if previous is None or previous.nats is None or previous.previous_nats is None:
        reason = None if previous is None else previous.skipped
        why = reason or "no model was blessed before"
        return Check(name, True, None, margin, "most", why, skipped=True)
    loss = previous.nats - previous.previous_nats
    why = (
        f"{previous.nats:.3f} nats a frame, the last blessed model {previous.previous_nats:.3f}, "
        f"on {previous.windows} frames that both know"
    )
    # An older model that finds a frame impossible is no bar; a new one that does fails above.
    passed = loss <= margin or not math.isfinite(previous.previous_nats)
    return Check(name, passed, loss, margin, "most", why)
