"""Preprocessing that is killed leaves the old output, the whole new one, or none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tunesmith.music import write_midi

COMMAND = [sys.executable, "-m", "tunesmith.cli.main", "preprocess"]


@pytest.fixture(scope="module")
def midi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty songs, so that processes of their own read them."""
    folder = tmp_path_factory.mktemp("midi")
    for number in range(60):
        frames = [(40 + (number + step) % 40,) for step in range(20 + number)]
        write_midi(frames, folder / f"{number}.mid", 5.0)
    return folder


def start(midi: Path, output: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [*COMMAND, "--midi-dir", str(midi), "--output", str(output), *options]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def readers(session: int) -> list[int]:
    """Return the reading processes of a session that are still there."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            reads = b"read_ahead" in (process / "cmdline").read_bytes()
            if reads and os.getsid(int(process.name)) == session:
                found.append(int(process.name))
        except (OSError, ValueError):
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")
def test_killed_at_any_step_the_output_is_the_old_one_and_a_rerun_is_whole(
    midi: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    assert start(midi, output).wait() == 0
    old = contents(output)
    staged = f".{output.name}.partial-*"
    for moment in (staged, f"{staged}/rejected.jsonl", f"{staged}/vocabulary.json"):
        process = start(midi, output, "--fps", "4")
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(moment)):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert contents(output) == old
        # Who read for the killed one ends by itself.
        while readers(process.pid):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert start(midi, output, "--fps", "4").wait() == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert sorted(contents(output)) == sorted(old)
    assert contents(output)["vocabulary.json"] != old["vocabulary.json"]
