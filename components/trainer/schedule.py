"""The learning rate at each step: a pure function of the step and of the losses so far.

It has no state, so a resumed training has the same rates as an uninterrupted one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tunesmith.components.trainer.component import ScheduleParameters


def learning_rate(
    schedule: ScheduleParameters,
    peak: float,
    step: int,
    total: int,
    time_share: float,
    losses: Sequence[float],
) -> float:
    """Return the learning rate of step number `step`.

    ``constant`` is the paper's; ``cosine`` is half a cosine wave from the peak to 0 (Loshchilov and
    Hutter 2017, without restarts), over all epochs or the time limit, whichever is used up first;
    ``plateau`` reduces the rate each time that the validation loss has not improved for some
    epochs. A warm-up rises linearly to the peak (Goyal et al. 2017).

    Args:
        schedule: the shape and its numbers.
        peak: the highest rate.
        step: steps of the lesson done before.
        total: steps of the lesson.
        time_share: share of the lesson's time that has passed; 0 without a time limit.
        losses: validation loss after each completed epoch.
    """
    if step < schedule.warmup_steps:
        return peak * (step + 1) / schedule.warmup_steps
    if schedule.shape == "cosine":
        done = (step - schedule.warmup_steps) / max(total - schedule.warmup_steps, 1)
        return peak * 0.5 * (1 + math.cos(math.pi * min(max(done, time_share), 1.0)))
    if schedule.shape == "plateau":
        return peak * schedule.plateau_factor ** plateaus(losses, schedule.plateau_patience)
    return peak


def plateaus(losses: Sequence[float], patience: int) -> int:
    """Return how often `losses` went `patience` epochs without a new minimum.

    After a plateau the count of epochs starts again.
    """
    found = waited = 0
    best = math.inf
    for loss in losses:
        waited = 0 if loss < best else waited + 1
        best = min(best, loss)
        if waited == patience:
            found, waited = found + 1, 0
    return found
