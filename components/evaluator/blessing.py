"""The checks that bless or refuse a model, each with its value and threshold.

Pure functions of measured figures; none raises because of the value of a figure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tunesmith.components.artifacts import Check
from tunesmith.components.evaluator.comparison import Comparison
from tunesmith.components.evaluator.component import BlessingParameters
from tunesmith.components.evaluator.likelihood import Figures
from tunesmith.components.evaluator.requirements import parse_requirements

SUM_TOLERANCE = 1e-3
"""Maximum difference of a row's sum from one; float32 over thousands of frames stays below 1e-4.
The likelihood of rows with another sum is meaningless."""


def check_model(
    figures: Figures,
    baselines: Mapping[str, Figures],
    previous: Comparison | None,
    parameters: BlessingParameters,
    music: Mapping[str, Any] | None = None,
) -> list[Check]:
    """Return the checks of a model, which is blessed if all are passed.

    Args:
        figures: of the model.
        baselines: figures of the baselines, by name.
        previous: the comparison with the served model; None if none is served.
        parameters: the margins and the requirements.
        music: measures of the model's songs, by name; None without songs.
    """
    return [
        _finite(figures),
        _sums(figures),
        *(
            _beats(name, baselines[name].nats, figures.nats, parameters.baseline_margin)
            for name in parameters.beat
        ),
        _not_worse(previous, parameters.previous_margin),
        *(each.check(figures, music or {}) for each in parse_requirements(parameters.require)),
    ]


def _finite(figures: Figures) -> Check:
    finite = math.isfinite(figures.nats)
    why = (
        f"the loss on the eval split is finite, {figures.nats:.3f} nats per frame"
        if finite
        else "the loss on the eval split is not finite: train again with a smaller learning rate"
    )
    return Check("finite likelihood", finite, why, float(finite), 1.0, "least")


def _sums(figures: Figures) -> Check:
    passed = figures.sum_error <= SUM_TOLERANCE
    why = f"sums of probabilities differ from 1 by at most {figures.sum_error:.1g}"
    return Check("rows sum to one", passed, why, figures.sum_error, SUM_TOLERANCE, "most")


def _beats(name: str, baseline: float, model: float, margin: float) -> Check:
    gain = baseline - model
    why = f"{model:.3f} nats per frame, the {name} baseline {baseline:.3f}"
    return Check(f"beats {name}", gain >= margin, why, gain, margin, "least")


def _not_worse(previous: Comparison | None, margin: float) -> Check:
    name = "not worse than the served model"
    if previous is None or previous.nats is None or previous.previous_nats is None:
        reason = None if previous is None else previous.skipped
        why = reason or "no model is served"
        return Check(name, True, why, None, margin, "most", skipped=True)
    loss = previous.nats - previous.previous_nats
    why = (
        f"{previous.nats:.3f} nats per frame, the served model {previous.previous_nats:.3f}, on "
        f"{previous.windows} frames in both vocabularies"
    )
    # An infinite loss of the served model is ignored; one of the candidate already failed.
    passed = loss <= margin or not math.isfinite(previous.previous_nats)
    return Check(name, passed, why, loss, margin, "most")
