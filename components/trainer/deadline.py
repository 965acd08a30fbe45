"""The time limit of a training: the time for training steps, and the time reserved for export."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

FINISHING_SECONDS = 20.0
"""Reserved for the export after the last step: writing the SavedModel and its warm-up requests
takes some 10 s on two cores, and more on a busy machine."""

LARGEST_SHARE = 1 / 3
"""Maximum share of the limit that is reserved: otherwise a short training has no time for steps."""


@dataclass
class Deadline:
    """The time limit of a training that may have been interrupted and resumed.

    Args:
        maximum: seconds for the whole component, of all runs together; None for no limit.
        clock: seconds of a monotonic clock.
        before: seconds of earlier runs.
        finishing: seconds reserved after the last validation.
    """

    maximum: float | None
    clock: Callable[[], float] = time.monotonic
    before: float = 0.0
    finishing: float = FINISHING_SECONDS
    _started: float = field(init=False)

    def __post_init__(self) -> None:
        self._started = self.clock()

    def elapsed(self) -> float:
        """Return the seconds of all runs until now."""
        return self.before + self.clock() - self._started

    def left_to_learn(self, judging: float) -> float:
        """Return the seconds until training has to end; infinite without a limit.

        Args:
            judging: seconds that the last validation will take.
        """
        if self.maximum is None:
            return math.inf
        return self._learning(judging) - self.elapsed()

    def share(self, judging: float) -> float:
        """Return the used share of the training time, 0 to 1; 0 without a limit.

        Args:
            judging: see :meth:`left_to_learn`.
        """
        if self.maximum is None:
            return 0.0
        return min(1.0, self.elapsed() / max(self._learning(judging), 1e-9))

    def _learning(self, judging: float) -> float:
        assert self.maximum is not None
        return self.maximum - min(self.finishing + judging, LARGEST_SHARE * self.maximum)
