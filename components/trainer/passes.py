"""Epochs: passes over the windows, or equal parts of a pass that is too long."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Passes:
    """Passes over the windows in steps, divided into epochs of equal length.

    Args:
        windows: of a pass.
        batch: windows in a step.
        most: steps in an epoch, at most; None for whole passes.
    """

    windows: int
    batch: int
    most: int | None

    @property
    def steps(self) -> int:
        """Steps of a pass; the last may have fewer windows."""
        return math.ceil(self.windows / self.batch)

    @property
    def epochs(self) -> int:
        """Epochs of a pass."""
        return 1 if self.most is None else math.ceil(self.steps / self.most)

    def place(self, epoch: int) -> tuple[int, int, int]:
        """Return (the pass, its step where the epoch begins, that where it ends); all from 0."""
        number, part = divmod(epoch, self.epochs)
        length = math.ceil(self.steps / self.epochs)
        return number, min(part * length, self.steps), min((part + 1) * length, self.steps)

    def steps_before(self, epoch: int) -> int:
        """Return the steps of all epochs before this one."""
        number, first, _ = self.place(epoch)
        return number * self.steps + first

    def windows_between(self, first: int, last: int) -> int:
        """Return the windows of the steps of a pass from `first` to before `last`."""
        return min(last * self.batch, self.windows) - min(first * self.batch, self.windows)
