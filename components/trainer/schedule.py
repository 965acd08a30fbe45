"""The learning rate at each step: a pure function of the step and of the losses so far.

It has no state of its own, so a training that goes on after a kill has the rates of one that ran
through.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Shape = Literal["constant", "cosine", "plateau"]
SHAPES: tuple[str, ...] = get_args(Shape)


@dataclass(frozen=True)
class Schedule:
    """How the learning rate moves; the default is the paper's, which stays.

    Args:
        shape: ``constant``; ``cosine``, half a cosine wave from the peak to 0 over all epochs
            (Loshchilov and Hutter 2017, without restarts); ``plateau``, cut each time that the
            held-out loss has not improved for a while.
        warmup_steps: steps over which the rate rises linearly to the peak first (Goyal et al.
            2017).
        plateau_factor: what a plateau multiplies the rate by.
        plateau_patience: epochs without a better held-out loss that make a plateau; less than the
            training's own patience, or it never comes to one.
    """

    shape: Shape = "constant"
    warmup_steps: int = 0
    plateau_factor: float = 0.5
    plateau_patience: int = 2

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise ValueError(f"a schedule is one of {', '.join(SHAPES)}, not {self.shape!r}")
        if self.warmup_steps < 0:
            raise ValueError(f"warm-up steps must be at least 0, not {self.warmup_steps}")
        if not 0 < self.plateau_factor < 1:
            raise ValueError(f"the plateau factor is between 0 and 1, not {self.plateau_factor}")
        if self.plateau_patience < 1:
            raise ValueError(f"the plateau patience is at least 1, not {self.plateau_patience}")

    def rate(self, peak: float, step: int, total: int, losses: Sequence[float]) -> float:
        """Return the learning rate of step number `step`.

        Args:
            peak: the highest rate.
            step: steps done before, of all epochs.
            total: steps of all epochs.
            losses: held-out losses of the epochs done before.
        """
        if step < self.warmup_steps:
            return peak * (step + 1) / self.warmup_steps
        if self.shape == "cosine":
            done = (step - self.warmup_steps) / max(total - self.warmup_steps, 1)
            return peak * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
        if self.shape == "plateau":
            return peak * self.plateau_factor ** plateaus(losses, self.plateau_patience)
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
