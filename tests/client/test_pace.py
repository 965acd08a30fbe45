"""The cost of a call, from the calls so far."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.client.pace import ASSUMED_RATIO, KEPT, SIZES, CallCosts


def test_nothing_is_known_before_the_first_call() -> None:
    assert CallCosts().cost is None


def test_one_size_says_what_a_usual_machine_would() -> None:
    costs = CallCosts()
    costs.record(1, 0.009)
    assert costs.cost == pytest.approx((0.008, 0.001))
    assert ASSUMED_RATIO == 8


@pytest.mark.parametrize("line", [(0.006, 0.0006), (0.004, 1e-5), (1e-5, 0.002)])
def test_the_line_is_found_and_a_call_that_hung_is_passed_over(line: tuple[float, float]) -> None:
    costs, random = CallCosts(), np.random.default_rng(3)
    for windows in random.integers(1, 18, 80).tolist():
        noise = random.lognormal(0, 0.05)
        costs.record(windows, (line[0] + line[1] * windows) * noise)
    costs.record(9, 2.0)
    assert costs.cost is not None
    for windows in (1, 9, 17):
        found = costs.cost.fixed + costs.cost.each * windows
        assert found == pytest.approx(line[0] + line[1] * windows, rel=0.1)


def test_a_larger_call_that_took_less_leaves_a_window_above_nothing() -> None:
    costs = CallCosts()
    for _ in range(KEPT):
        costs.record(1, 0.009)
        costs.record(9, 0.005)
    assert costs.cost is not None
    assert costs.cost.each > 0
    assert costs.cost.fixed > 0


def test_a_server_that_changes_its_speed_is_followed() -> None:
    costs = CallCosts()
    for factor in (1, 10):
        for windows in list(range(1, SIZES + 9)) * KEPT:
            costs.record(windows, factor * (0.005 + 0.001 * windows))
    assert costs.cost == pytest.approx((0.05, 0.01), rel=0.02)
