"""The exit code tells how a command ended: refused, interrupted, terminated."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tunesmith.cli import main
from tunesmith.components.errors import GateClosed
from tunesmith.components.progress import SilentProgress
from tunesmith.pipeline.root_lock import lock_root

TUNESMITH = [sys.executable, "-m", "tunesmith.cli.main"]

# A shell without job control starts what it runs in the background with SIGINT ignored.
WITH_DEFAULT_SIGNALS = (
    "import os, signal, sys\n"
    "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "signal.signal(signal.SIGTERM, signal.SIG_DFL)\n"
    "sys.argv = ['tunesmith', *sys.argv[1:]]\n"
    "from tunesmith.cli.main import main\n"
    "main()"
)


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_signal_ends_a_run_tidily(
    tmp_path: Path, number: signal.Signals, code: int, word: str
) -> None:
    (tmp_path / "a.mid").touch()
    root = tmp_path / "root"
    root.mkdir()
    command = [
        *(sys.executable, "-c", WITH_DEFAULT_SIGNALS, "run", "--midi-dir", tmp_path),
        *("--root", root, "--log-format", "json"),
    ]
    with (
        lock_root(root, False, SilentProgress().say, time.time),
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run,
    ):
        assert run.stderr is not None
        # It waits for the lock, which this process holds.
        assert json.loads(run.stderr.readline())["level"] == "info"
        run.send_signal(number)
        assert [json.loads(line)["message"] for line in run.stderr] == [word]
        assert run.wait(60) == code


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["tunesmith", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main.main()
    return int(end.value.code or 0)


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--midi-dir", "m", "--root", "r"),
        ("component", "Pusher", "--root", "r", "--input", "1"),
    ],
)
def test_a_gate_that_refused_is_told_by_its_own_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
) -> None:
    def refuse(*_: object) -> None:
        raise GateClosed("the model is not blessed")

    monkeypatch.setattr("tunesmith.cli.run.run_and_report", refuse)
    monkeypatch.setattr("tunesmith.cli.component._run", refuse)
    assert ended(monkeypatch, *arguments) == 3
    assert capsys.readouterr().err == "tunesmith: error: the model is not blessed\n"


def test_other_failures_keep_theirs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert ended(monkeypatch, "--help") == 0
    assert ended(monkeypatch, "run", "--epochs", "0") == 2
    where = ("--midi-dir", tmp_path / "none", "--root", tmp_path / "root")
    assert ended(monkeypatch, "run", *where) == 1


def test_the_handlers_of_the_process_are_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    ended(monkeypatch, "run", "--epochs", "0")
    assert signal.getsignal(signal.SIGTERM) is before
