"""The sampling that a model recommends, and that a client draws with as the Evaluator does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tunesmith.client.sampling import Sampling
from tunesmith.components.sampling import RecommendedSampling


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    [(1.0, 0, 1.0), (0.0, 0, 1.0), (0.7, 0, 1.0), (1.3, 4, 1.0), (1.0, 0, 0.8), (0.9, 5, 0.6)],
)
def test_the_distribution_is_the_clients(temperature: float, top_k: int, top_p: float) -> None:
    rows = np.random.default_rng(5).dirichlet(np.full(12, 0.4), size=50)
    # Equally probable tokens: the smaller goes first.
    rows[0] = 1 / 12
    found = RecommendedSampling(temperature, top_k, top_p).distribution(rows)
    client = Sampling(temperature, top_k or None, top_p if top_p < 1 else None)
    np.testing.assert_array_equal(found, client.distribution(rows))


def test_what_is_served_is_what_was_recommended() -> None:
    for sampling in (RecommendedSampling(), RecommendedSampling(0.9, 12, 0.95)):
        assert RecommendedSampling.from_served(sampling.served()) == sampling
    assert RecommendedSampling.from_served({"program": 3}) == RecommendedSampling()


@pytest.mark.parametrize(
    "values", [{"temperature": -1.0}, {"temperature": np.inf}, {"top_k": -1}, {"top_p": 0.0}]
)
def test_values_out_of_range_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"top_k|temperature"):
        RecommendedSampling(**values)
