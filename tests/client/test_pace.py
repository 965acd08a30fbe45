"""What a call costs, from the calls so far."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.client.pace import ASSUMED_RATIO, KEPT, SIZES, Pace


def test_nothing_is_known_before_the_first_call() -> None:
    assert Pace().cost is None


def test_one_size_says_what_a_usual_machine_would() -> None:
    pace = Pace()
    pace.record(1, 0.009)
    assert pace.cost == pytest.approx((0.008, 0.001))
    assert ASSUMED_RATIO == 8


@pytest.mark.parametrize("line", [(0.006, 0.0006), (0.004, 1e-5), (1e-5, 0.002)])
def test_the_line_is_found_and_a_call_that_hung_is_passed_over(line: tuple[float, float]) -> None:
    pace, random = Pace(), np.random.default_rng(3)
    for windows in random.integers(1, 18, 80).tolist():
        noise = random.lognormal(0, 0.05)
        pace.record(windows, (line[0] + line[1] * windows) * noise)
    pace.record(9, 2.0)
    assert pace.cost is not None
    for windows in (1, 9, 17):
        found = pace.cost.fixed + pace.cost.each * windows
        assert found == pytest.approx(line[0] + line[1] * windows, rel=0.1)


def test_a_larger_call_that_took_less_leaves_a_window_above_nothing() -> None:
    pace = Pace()
    for _ in range(KEPT):
        pace.record(1, 0.009)
        pace.record(9, 0.005)
    assert pace.cost is not None
    assert pace.cost.each > 0
    assert pace.cost.fixed > 0


def test_a_server_that_changes_its_speed_is_followed() -> None:
    pace = Pace()
    for factor in (1, 10):
        for windows in list(range(1, SIZES + 9)) * KEPT:
            pace.record(windows, factor * (0.005 + 0.001 * windows))
    assert pace.cost == pytest.approx((0.05, 0.01), rel=0.02)
