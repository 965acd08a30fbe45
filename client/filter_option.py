"""How a sampling filter is set: its keyword argument, its help and its range."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tunesmith.client.errors import BadOption


@dataclass(frozen=True)
class FilterOption:
    """How a filter is set.

    Args:
        keyword: the keyword argument; the option of the command line is the same with hyphens.
        kind: the type of its value.
        symbol: the value in the help: ``K``.
        help: one sentence for the command line.
        least: the smallest value.
        most: the largest value.
        above: the value must be greater than this one.
        chosen_together: whether models recommend it together with the others of which this is true:
            one of them given, nothing is recommended.
        in_server_loop: whether the ``generate`` signature of a model has it.
    """

    keyword: str
    kind: type[int] | type[float]
    symbol: str
    help: str
    least: float | None = None
    most: float | None = None
    above: float | None = None
    chosen_together: bool = False
    in_server_loop: bool = False

    def problem(self, value: float) -> str | None:
        """Return the problem of a value, ``must be at least 1, not 0``; None if it is in range."""
        if not math.isfinite(value):
            return f"must be a finite number, not {value}"
        bounds = []
        if self.above is not None:
            bounds.append((value > self.above, f"above {self.above:g}"))
        if self.least is not None:
            bounds.append((value >= self.least, f"at least {self.least:g}"))
        if self.most is not None:
            bounds.append((value <= self.most, f"at most {self.most:g}"))
        if all(kept for kept, _ in bounds):
            return None
        return f"must be {' and '.join(words for _, words in bounds)}, not {value}"

    def check(self, value: float) -> None:
        """Check a value.

        Raises:
            BadOption: it is out of range.
        """
        problem = self.problem(value)
        if problem:
            raise BadOption(f"{self.keyword} {problem}")
