"""Epochs that are parts of a pass, and the time that is left."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from tunesmith.components.trainer.deadline import FINISHING_SECONDS, Deadline
from tunesmith.components.trainer.passes import Passes

counts = st.integers(1, 500)


@given(counts, st.integers(1, 70), st.one_of(st.none(), st.integers(1, 20)))
def test_epochs_divide_each_pass_without_a_gap(windows: int, batch: int, most: int | None) -> None:
    passes = Passes(windows, batch, most)
    for number in range(2):
        steps = []
        for part in range(passes.epochs):
            epoch = number * passes.epochs + part
            found, first, last = passes.place(epoch)
            assert found == number
            assert first < last
            assert most is None or last - first <= most
            assert passes.steps_before(epoch) == number * passes.steps + first
            steps += range(first, last)
        assert steps == list(range(math.ceil(windows / batch)))
        assert passes.windows_between(0, passes.steps) == windows


def test_time_is_kept_for_judging_and_finishing() -> None:
    now = [100.0]
    deadline = Deadline(200.0, lambda: now[0], before=30.0)
    assert deadline.elapsed() == 30
    now[0] += 60
    assert deadline.left_to_learn(judging=10) == 200 - FINISHING_SECONDS - 10 - 90
    assert deadline.share(judging=10) == 90 / (200 - FINISHING_SECONDS - 10)
    now[0] += 1000
    assert deadline.share(judging=10) == 1
    # Of a short time most is left to learn.
    assert Deadline(3.0, lambda: 0.0).left_to_learn(judging=5) == 2


def test_without_a_limit_no_time_passes() -> None:
    deadline = Deadline(None)
    assert deadline.left_to_learn(1) == math.inf
    assert deadline.share(1) == 0
