"""The recommended sampling of a model.

Trainer exports it in the ``settings`` signature, Evaluator measures songs composed with it, and it
is the default of a client.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class RecommendedSampling:
    """Temperature, top-k and top-p, applied in this order.

    Args:
        temperature: 1 is the model's own distribution, 0 always the most probable token.
        top_k: draw among the k most probable tokens only; 0 for all.
        top_p: draw among the most probable tokens that hold this share together; 1 for all.

    Raises:
        ValueError: a value is out of its range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.temperature) and self.temperature >= 0):
            raise ValueError(f"temperature must be 0 or a positive number, not {self.temperature}")
        if self.top_k < 0 or not 0 < self.top_p <= 1:
            raise ValueError(
                "top_k must be at least 0 and top_p above 0 and at most 1, not "
                f"{self.top_k} and {self.top_p}"
            )

    def served(self) -> dict[str, np.float32 | np.int32]:
        """Return the outputs of the ``settings`` signature."""
        return {
            "temperature": np.float32(self.temperature),
            "top_k": np.int32(self.top_k),
            "top_p": np.float32(self.top_p),
        }

    @classmethod
    def from_served(cls, answered: Mapping[str, Any]) -> RecommendedSampling:
        """Read the answer of ``settings``; missing values mean the model's own distribution.

        Raises:
            ValueError: a value is out of its range.
        """
        return cls(
            decimal(answered.get("temperature", 1.0)),
            int(answered.get("top_k", 0)),
            decimal(answered.get("top_p", 1.0)),
        )

    def distribution(self, rows: Rows) -> Rows:
        """Return the rows that tokens are drawn from, float64 [n, V], each summing to one.

        Of equally probable tokens the smaller ranks first, as in a client.

        Args:
            rows: float64 [n, V], no negative values, each with a positive sum.
        """
        rows = _normalised(rows)
        if self.temperature == 0:
            likeliest = rows.argmax(axis=1)
            rows = np.zeros_like(rows)
            rows[np.arange(len(rows)), likeliest] = 1.0
        elif self.temperature != 1:
            with np.errstate(divide="ignore", over="ignore"):
                logits = np.log(rows)
                best = logits.max(axis=1, keepdims=True)
                rows = _normalised(np.exp((logits - best) / self.temperature))
        if self.top_k:
            places, _ = _falling(rows)
            rows = _normalised(np.where(places < self.top_k, rows, 0.0))
        if self.top_p < 1:
            _, before = _falling(rows)
            rows = _normalised(np.where(before < self.top_p, rows, 0.0))
        return rows


def _normalised(rows: Rows) -> Rows:
    result: Rows = rows / rows.sum(axis=1, keepdims=True)
    return result


def _falling(rows: Rows) -> tuple[NDArray[np.intp], Rows]:
    """Return each token's rank by probability, and the summed probability of those before it."""
    order = np.argsort(-rows, axis=1, kind="stable")
    places = np.empty_like(order)
    np.put_along_axis(places, order, np.arange(rows.shape[1])[np.newaxis], axis=1)
    sums = np.cumsum(np.take_along_axis(rows, order, axis=1), axis=1)
    before = np.zeros_like(sums)
    before[:, 1:] = sums[:, :-1]
    return places, np.take_along_axis(before, places, axis=1)


def decimal(value: Any) -> float:
    """Return the shortest decimal number that rounds to a float32: 0.9, not 0.89999998."""
    return float(str(np.float32(value)))
