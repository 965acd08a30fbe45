"""Runs in one root: one at a time, recorded as what they were, whatever kills them or is full."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tunesmith.components.artifacts import Artifact
from tunesmith.components.component import Component, ParameterSet, parameter
from tunesmith.components.errors import ComponentError
from tunesmith.components.processes import ProcessName, is_running, this_process
from tunesmith.components.progress import Progress, SilentProgress
from tunesmith.pipeline.database import StoreError
from tunesmith.pipeline.root_lock import RootBusy
from tunesmith.pipeline.runner import RootUnusable, Runner

NOBODY = 65534
"""The user of that name on every Linux."""


@dataclass(frozen=True)
class Inputs:
    source: Artifact


@dataclass(frozen=True)
class Parameters(ParameterSet):
    size: int = parameter(10, "Zeros to write.")


def component(name: str = "Write") -> Component[Any, Any, Artifact]:
    return Component(name, Inputs, Parameters, Artifact, "toy_executors:write")


class Lines(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def run(root: Path, progress: Progress | None = None, size: int = 10) -> Artifact:
    inputs = Inputs(Artifact(root.parent, "v1"))
    return Runner(root, progress or SilentProgress()).run(component(), inputs, Parameters(size))


def rows(root: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(root / "tunesmith.sqlite")) as connection:
        return connection.execute(query).fetchall()


def test_a_block_is_one_run_that_knows_what_it_executed_and_skipped(tmp_path: Path) -> None:
    root = tmp_path / "root"
    first = run(root)
    config = {"midi_dir": Path("songs"), "epochs": 2}
    with Runner(root, SilentProgress(), command="run", config=config) as runner:
        runner.run(component(), Inputs(Artifact(tmp_path, "v1")), Parameters())
        runner.run(component("Next"), Inputs(first), Parameters())
    assert rows(root, "SELECT id, command, parameters, outcome FROM runs") == [
        (1, "Runner", "{}", "complete"),
        (2, "run", '{"epochs": 2, "midi_dir": "songs"}', "complete"),
    ]
    assert rows(root, "SELECT run, component FROM executions") == [(1, "Write"), (2, "Next")]
    assert rows(root, "SELECT run, execution FROM skips") == [(2, 1)]
    # The second reads what the first made: the same row.
    assert rows(
        root,
        "SELECT inputs.execution, name, path, artifacts.execution FROM inputs "
        "JOIN artifacts ON artifacts.id = inputs.artifact",
    ) == [(1, "source", str(tmp_path), None), (2, "source", "Write/1", 1)]


def test_one_parameter_redoes_what_depends_on_it_and_nothing_else(tmp_path: Path) -> None:
    def pipeline(runner: Runner, middle: int) -> None:
        first = runner.run(component("A"), Inputs(Artifact(tmp_path, "v1")), Parameters())
        runner.run(component("Beside"), Inputs(first), Parameters())
        second = runner.run(component("B"), Inputs(first), Parameters(middle))
        runner.run(component("C"), Inputs(second), Parameters())

    for middle in (1, 1, 2):
        with Runner(tmp_path / "root", SilentProgress()) as runner:
            pipeline(runner, middle)
    done = rows(tmp_path / "root", "SELECT run, component FROM executions ORDER BY id")
    first_run = [(1, "A"), (1, "Beside"), (1, "B"), (1, "C")]
    assert done == [*first_run, (3, "B"), (3, "C")]
    assert rows(tmp_path / "root", "SELECT run, count(*) FROM skips GROUP BY run") == [
        (2, 4),
        (3, 2),
    ]


def test_an_interrupted_run_is_recorded_as_such(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Runner(tmp_path, SilentProgress()):
        raise KeyboardInterrupt
    assert rows(tmp_path, "SELECT outcome, message FROM runs") == [
        ("interrupted", "KeyboardInterrupt")
    ]


HOLD = """
import sys
from pathlib import Path
from tunesmith.components.progress import SilentProgress
from tunesmith.pipeline.runner import Runner
with Runner(Path(sys.argv[1]), SilentProgress()):
    print("holds", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process in the midst of a run in ``tmp_path / "root"``."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "root"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holds\n"
        yield process
        process.kill()


def test_a_second_run_waits_and_says_for_whom(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    class EndTheOther(Lines):
        def say(self, line: str) -> None:
            super().say(line)
            if line.startswith("waiting") and holder.stdin is not None:
                holder.stdin.close()

    progress = EndTheOther()
    run(tmp_path / "root", progress)
    assert progress.lines[0].startswith(f"waiting for process {holder.pid} on ")
    assert "(since 20" in progress.lines[0]
    assert rows(tmp_path / "root", "SELECT id, outcome FROM runs") == [
        (1, "complete"),
        (2, "complete"),
    ]


def test_a_second_run_that_does_not_wait_says_so_and_leaves_no_trace(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(RootBusy, match=rf"process {holder.pid} on .* holds the lock of .*: wait"):
        Runner(tmp_path / "root", SilentProgress(), wait=False).__enter__()
    assert rows(tmp_path / "root", "SELECT id, outcome FROM runs") == [(1, "running")]


def test_a_killed_run_gives_the_root_free_and_is_recorded_as_killed(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    holder.kill()
    assert holder.wait() == -signal.SIGKILL
    progress = Lines()
    run(tmp_path / "root", progress)
    assert progress.lines[0] == "run 1 was killed; its complete artifacts are kept"
    assert rows(tmp_path / "root", "SELECT outcome, message, ended FROM runs")[0] == (
        "killed",
        f"process {holder.pid} on {this_process().host} was killed",
        None,
    )


def test_a_run_of_a_live_process_is_not_taken_for_a_killed_one(tmp_path: Path) -> None:
    root = tmp_path / "root"
    run(root)
    with sqlite3.connect(root / "tunesmith.sqlite") as connection:
        # As after an end that the store could not take, the disk being full.
        connection.execute("UPDATE runs SET outcome = 'running'")
    run(root)
    assert [outcome for (outcome,) in rows(root, "SELECT outcome FROM runs")] == [
        "running",
        "complete",
    ]
    with sqlite3.connect(root / "tunesmith.sqlite") as connection:
        connection.execute("UPDATE runs SET process_started = '1' WHERE id = 1")
    run(root)
    assert rows(root, "SELECT outcome FROM runs WHERE id = 1") == [("killed",)]


def test_a_process_is_told_from_a_later_one_of_its_number() -> None:
    me = this_process()
    assert is_running(me)
    assert not is_running(ProcessName(me.number, me.host, me.started + "0"))
    assert not is_running(ProcessName(me.number, "another host", me.started))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert not is_running(ProcessName(gone.pid, me.host, ""))


DYING = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{folder!r}, {folder!r} + "/../executors"]
import test_runs as t
import toy_executors
from tunesmith.pipeline import store
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
for moment, (patch, _) in t.MOMENTS.items():
    if os.fork() == 0:
        exec(patch)
        t.run(Path(sys.argv[1], moment, "root"))
    print(os.wait()[1])
"""

MOMENTS = {
    "before it is recorded": ("store.ExecutionStore.begin = die", "1"),
    "at its start": ("toy_executors.write = die", "2"),
    "before its verdict": ("store.ExecutionStore.record_result = die", "2"),
    "before the rename": ("Path.rename = die", "2"),
    "after the rename": ("store.ExecutionStore.finish = die", "1"),
    "at the end of the run": ("store.ExecutionStore.close_run = die", "1"),
}
"""The moment of each kill, and the execution that completes the artifact."""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of runs that were killed at each of the moments."""
    folder = tmp_path_factory.mktemp("killed")
    for moment in MOMENTS:
        (folder / moment).mkdir()
    program = DYING.format(folder=str(Path(__file__).parent))
    command = [sys.executable, "-c", program, folder]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.split() == [str(int(signal.SIGKILL))] * len(MOMENTS)
    return folder


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_at_any_step_is_made_good(killed: Path, moment: str) -> None:
    root, number = killed / moment / "root", MOMENTS[moment][1]
    made = run(root)
    assert [path.name for path in (root / "Write").iterdir()] == [number]
    assert (made.path / "zeros").read_bytes() == bytes(10)
    assert rows(
        root,
        "SELECT outcome, verdict, path FROM executions "
        "JOIN artifacts ON artifacts.execution = executions.id",
    ) == [("complete", "complete", f"Write/{number}")]
    assert rows(root, "SELECT outcome FROM runs") == [("killed",), ("complete",)]
    assert rows(root, "SELECT count(*) FROM executions WHERE outcome = 'running'") == [(0,)]


def test_a_root_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("my thesis")
    with pytest.raises(RootUnusable, match="root: File exists: choose a folder as root"):
        run(tmp_path / "root")
    assert (tmp_path / "root").read_text() == "my thesis"


@pytest.fixture
def ordinary_folder() -> Iterator[Path]:
    """A folder of a user who may not write everywhere, and this process as that user."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if os.geteuid():
            yield folder
            return
        os.chown(folder, NOBODY, -1)
        os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            os.seteuid(0)


def test_a_root_that_cannot_be_written(ordinary_folder: Path) -> None:
    root = ordinary_folder / "root"
    root.mkdir(mode=0o500)
    with pytest.raises(RootUnusable, match="Permission denied: choose a root"):
        run(root)
    assert list(root.iterdir()) == []


def test_a_store_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "tunesmith.sqlite").write_text("my thesis" * 100)
    with pytest.raises(StoreError, match=r"not a database: move the file away to start"):
        run(tmp_path)


def test_a_store_of_a_later_version(tmp_path: Path) -> None:
    run(tmp_path)
    with sqlite3.connect(tmp_path / "tunesmith.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(
        StoreError, match="has schema version 99, but this tunesmith reads 3: upgrade it"
    ):
        run(tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_told_in_one_line_and_leaves_nothing_half_written(small_disk: Path) -> None:
    root = small_disk / "root"
    with pytest.raises(RootUnusable, match="No space left on device: free disk space and run"):
        run(root, size=2**21)
    assert list((root / "Write").iterdir()) == []
    assert run(root, size=2**10).path.is_dir()
    assert [row[0] for row in rows(root, "SELECT outcome FROM runs")] == ["failed", "complete"]


def test_a_disk_too_full_for_the_store(small_disk: Path) -> None:
    root = small_disk / "root"
    run(root)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    with pytest.raises(ComponentError, match="free disk space and run again"):
        run(root, size=11)
    filler.unlink()
    assert run(root, size=11).path.is_dir()
    assert rows(root, "PRAGMA integrity_check") == [("ok",)]


def test_a_bound_on_the_size_of_files(tmp_path: Path) -> None:
    root = tmp_path / "root"
    bound = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, bound[1]))
    try:
        with pytest.raises(RootUnusable, match="File too large: allow larger files and run again"):
            run(root, size=2**21)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, bound)
    assert list((root / "Write").iterdir()) == []
