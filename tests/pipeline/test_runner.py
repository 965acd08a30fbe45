"""The runner: what it executes, skips, records and leaves behind."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tunesmith.components.artifacts import Artifact
from tunesmith.components.component import Component, ParameterSet, parameter
from tunesmith.components.progress import SilentProgress
from tunesmith.pipeline.runner import Runner


@dataclass(frozen=True)
class CopyInputs:
    source: Artifact


@dataclass(frozen=True)
class CopyParameters(ParameterSet):
    times: int = parameter(1, "Times that the text is repeated.")


class Copies(Artifact):
    """A file repeated."""


def component(
    executor: str = "repeat_text", code: tuple[str, ...] = ()
) -> Component[Any, Any, Copies]:
    return Component(
        "Copy",
        CopyInputs,
        CopyParameters,
        Copies,
        f"toy_executors:{executor}",
        modules=lambda _: code,
    )


class Lines(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def source(tmp_path: Path) -> Artifact:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "text").write_text("la ")
    return Artifact(folder, "v1")


def executions(root: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(root / "tunesmith.sqlite") as connection:
        return connection.execute(
            "SELECT component, outcome, path, parameters FROM executions "
            "LEFT JOIN artifacts ON artifacts.execution = executions.id ORDER BY executions.id"
        ).fetchall()


def test_an_execution_is_recorded_and_the_same_one_skipped(
    tmp_path: Path, source: Artifact
) -> None:
    progress = Lines()
    root = tmp_path / "root"
    for _ in range(2):
        # A new runner each time, as after a restart.
        made = Runner(root, progress).run(component(), CopyInputs(source), CopyParameters(2))
        assert (made.path / "text").read_text() == "la la "
    assert executions(root) == [("Copy", "complete", "Copy/1", '{"times": 2}')]
    assert "done in" in progress.lines[0]
    assert progress.lines[1] == "Copy: done before (execution 1), skipped"


def test_another_input_parameter_or_code_is_executed_anew(tmp_path: Path, source: Artifact) -> None:
    runner = Runner(tmp_path / "root", SilentProgress())
    paths = {
        runner.run(each, CopyInputs(Artifact(source.path, digest)), CopyParameters(times)).path
        for each, digest, times in (
            (component(), "v1", 1),
            (component(), "v2", 1),
            (component(), "v1", 2),
            (component(code=("tunesmith.cli.tables",)), "v1", 1),
        )
    }
    assert len(paths) == 4
    assert len(executions(tmp_path / "root")) == 4


def test_equal_content_has_an_equal_digest_whatever_it_was_made_of(
    tmp_path: Path, source: Artifact
) -> None:
    runner = Runner(tmp_path / "root", SilentProgress())
    first, second, third = (
        runner.run(component(), CopyInputs(Artifact(source.path, digest)), CopyParameters(times))
        for digest, times in (("v1", 1), ("v2", 1), ("v1", 2))
    )
    assert first.path != second.path
    assert first.digest == second.digest != third.digest


def test_an_artifact_that_was_deleted_is_made_again(tmp_path: Path, source: Artifact) -> None:
    runner = Runner(tmp_path / "root", SilentProgress())
    first = runner.run(component(), CopyInputs(source), CopyParameters())
    (first.path / "text").unlink()
    first.path.rmdir()
    second = runner.run(component(), CopyInputs(source), CopyParameters())
    assert (second.path / "text").read_text() == "la "
    assert second.digest == first.digest


def test_a_failure_is_recorded_and_leaves_no_artifact(tmp_path: Path, source: Artifact) -> None:
    root = tmp_path / "root"
    runner = Runner(root, SilentProgress())
    with pytest.raises(RuntimeError):
        runner.run(component("write_and_fail"), CopyInputs(source), CopyParameters())
    assert not list((root / "Copy").iterdir())
    assert runner.run(component(), CopyInputs(source), CopyParameters()).path.name == "2"
    assert [row[1] for row in executions(root)] == ["failed", "complete"]


def test_a_killed_execution_is_redone(tmp_path: Path, source: Artifact) -> None:
    program = f"""
import sys
from pathlib import Path
sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[1] / "executors")]!r}
import test_runner as t
root, source = map(Path, sys.argv[1:])
inputs = t.CopyInputs(t.Artifact(source, "v1"))
t.Runner(root, t.SilentProgress()).run(t.component("write_and_die"), inputs, t.CopyParameters())
"""
    root = tmp_path / "root"
    killed = subprocess.run([sys.executable, "-c", program, root, source.path], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [row[1] for row in executions(root)] == ["running"]
    assert [path.name for path in (root / "Copy").iterdir()] != []
    made = Runner(root, SilentProgress()).run(component(), CopyInputs(source), CopyParameters())
    assert (made.path / "text").read_text() == "la "
    assert [row[1] for row in executions(root)] == ["killed", "complete"]
    # What it left half-written is gone.
    assert [path.name for path in (root / "Copy").iterdir()] == ["2"]
