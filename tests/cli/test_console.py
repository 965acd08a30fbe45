"""The progress messages of long work."""

from __future__ import annotations

import pytest

from tunesmith.cli import console
from tunesmith.cli.console import ConsoleProgress, RemainingTime


def test_the_time_left_is_that_of_this_run_alone() -> None:
    pace = RemainingTime(1000)
    # A run that goes on starts at 600, which it has not done itself.
    assert pace.left(600, now=50.0) == ""
    assert pace.left(601, now=60.0) == "1:06:30 left"
    assert pace.left(700, now=150.0) == "0:05:00 left"
    assert pace.left(1000, now=450.0) == ""
    assert RemainingTime(None).left(3, now=1.0) == ""


def test_plain_lines_tell_share_note_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([0.0, 0.0, 4.0, 12.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(times))
    with ConsoleProgress().task("training", total=4) as task:
        task.update(0, "epoch 1")
        task.update(1, "epoch 1")
        task.update(2, "epoch 2")
    assert capsys.readouterr().err == "training ...\ntraining 50%, epoch 2, 0:00:12 left\n"
