"""How the learning rate moves."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tunesmith.components.trainer.component import ScheduleParameters
from tunesmith.components.trainer.schedule import learning_rate, plateaus


def test_a_constant_rate_stays_once_it_is_warm() -> None:
    rates = [
        learning_rate(ScheduleParameters("constant", warmup_steps=4), 0.8, step, 10, 0.0, [])
        for step in range(7)
    ]
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8, 0.8])
    assert (
        learning_rate(ScheduleParameters("constant", 0), 0.8, 0, 10, 0.9, [3.0, 4.0, 5.0, 6.0])
        == 0.8
    )


def test_a_cosine_falls_from_the_peak_to_nothing() -> None:
    schedule = ScheduleParameters("cosine", warmup_steps=10)
    rates = [learning_rate(schedule, 1.0, step, 110, 0.0, []) for step in range(10, 111)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == 1.0
    assert rates[50] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0.0)
    # From its top to its end it falls as much as it does from its end to its top, mirrored.
    assert [1 - rate for rate in rates] == pytest.approx(rates[::-1])


def test_a_cosine_has_come_down_when_the_time_is_up() -> None:
    schedule = ScheduleParameters("cosine", warmup_steps=0)
    shares = (0.0, 0.25, 0.5, 0.75, 1.0)
    rates = [learning_rate(schedule, 1.0, 100, 1000, share, []) for share in shares]
    # A tenth of the steps was done: until a tenth of the time has passed, steps decide.
    assert rates[0] == pytest.approx(0.5 * (1 + math.cos(0.1 * math.pi)))
    assert rates[2:] == pytest.approx([0.5, 0.5 * (1 - 0.5**0.5), 0.0])


def test_a_plateau_halves_the_rate_each_time() -> None:
    schedule = ScheduleParameters("plateau", warmup_steps=0, plateau_patience=2)
    losses = [3.0, 2.0, 2.5, 2.0, 2.1, 1.9, 1.9, 1.9]
    rates = [learning_rate(schedule, 1.0, 0, 1, 0.0, losses[:epochs]) for epochs in range(9)]
    assert rates == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]
    assert plateaus([], 1) == 0


@pytest.mark.parametrize(
    "values",
    [
        {"shape": "square"},
        {"warmup_steps": -1},
        {"plateau_factor": 1.0},
        {"plateau_patience": 0},
    ],
)
def test_a_schedule_out_of_range_is_refused(values: dict[str, Any]) -> None:
    (name,) = values
    with pytest.raises(ValueError, match=f"{name} must be"):
        ScheduleParameters(**values)
