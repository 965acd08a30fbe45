"""How much of the time limit is left: for learning, and for what has to follow it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

FINISHING_SECONDS = 20.0
"""Kept for what follows the last step: writing the SavedModel and its warm-up requests takes some
10 s on two cores, and more where others use them."""

LARGEST_SHARE = 1 / 3
"""Of the limit that is kept for finishing, at most: otherwise a short training learns nothing."""


@dataclass
class Deadline:
    """The time limit of a training that may have been stopped and started again.

    Args:
        maximum: seconds for everything, of all runs together; None for no limit.
        clock: seconds that only grow.
        before: seconds that earlier runs took.
        finishing: seconds kept for what follows the last judgement.
    """

    maximum: float | None
    clock: Callable[[], float] = time.monotonic
    before: float = 0.0
    finishing: float = FINISHING_SECONDS
    _started: float = field(init=False)

    def __post_init__(self) -> None:
        self._started = self.clock()

    def elapsed(self) -> float:
        """Seconds that all runs took until now."""
        return self.before + self.clock() - self._started

    def left_to_learn(self, judging: float) -> float:
        """Seconds until learning has to end; infinite without a limit.

        Args:
            judging: seconds that the last judgement will take.
        """
        if self.maximum is None:
            return math.inf
        return self._learning(judging) - self.elapsed()

    def share(self, judging: float) -> float:
        """Share, 0 to 1, of the time for learning that has passed; 0 without a limit.

        Args:
            judging: see :meth:`left_to_learn`.
        """
        if self.maximum is None:
            return 0.0
        return min(1.0, self.elapsed() / max(self._learning(judging), 1e-9))

    def _learning(self, judging: float) -> float:
        assert self.maximum is not None
        return self.maximum - min(self.finishing + judging, LARGEST_SHARE * self.maximum)
