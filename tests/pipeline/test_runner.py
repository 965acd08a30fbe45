"""The runner: what it executes, skips, records and leaves behind."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tunesmith.components.artifacts import Artifact, MidiFolder
from tunesmith.components.progress import Progress, SilentProgress
from tunesmith.pipeline.runner import Component, Runner, midi_folder, source_digest


@dataclass(frozen=True)
class CopyInputs:
    source: Artifact


@dataclass(frozen=True)
class CopyParameters:
    times: int = 1


class Copies(Artifact):
    """A file repeated."""


def copy(inputs: CopyInputs, parameters: CopyParameters, output: Path, _: Progress) -> None:
    text = (inputs.source.path / "text").read_text()
    (output / "text").write_text(text * parameters.times)


def component(
    execute: Callable[..., None] = copy, code: tuple[str, ...] = ("tunesmith.music",)
) -> Component[CopyInputs, CopyParameters, Copies]:
    return Component(
        "Copy", Copies, execute, code, lambda root, number, _: root / "Copy" / str(number)
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
    digests = {
        runner.run(each, CopyInputs(Artifact(source.path, digest)), CopyParameters(times)).digest
        for each, digest, times in (
            (component(), "v1", 1),
            (component(), "v2", 1),
            (component(), "v1", 2),
            (component(code=("tunesmith.components",)), "v1", 1),
        )
    }
    assert len(digests) == 4
    assert len(executions(tmp_path / "root")) == 4


def test_an_artifact_that_was_deleted_is_made_again(tmp_path: Path, source: Artifact) -> None:
    runner = Runner(tmp_path / "root", SilentProgress())
    first = runner.run(component(), CopyInputs(source), CopyParameters())
    (first.path / "text").unlink()
    first.path.rmdir()
    second = runner.run(component(), CopyInputs(source), CopyParameters())
    assert (second.path / "text").read_text() == "la "
    assert second.digest == first.digest


def test_a_failure_is_recorded_and_leaves_no_artifact(tmp_path: Path, source: Artifact) -> None:
    def fail(_: CopyInputs, __: CopyParameters, output: Path, ___: Progress) -> None:
        (output / "half").touch()
        raise RuntimeError("no")

    root = tmp_path / "root"
    runner = Runner(root, SilentProgress())
    with pytest.raises(RuntimeError):
        runner.run(component(fail), CopyInputs(source), CopyParameters())
    assert not list((root / "Copy").iterdir())
    assert runner.run(component(), CopyInputs(source), CopyParameters()).path.name == "2"
    assert [row[1] for row in executions(root)] == ["failed", "complete"]


def test_a_killed_execution_is_redone(tmp_path: Path, source: Artifact) -> None:
    program = f"""
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_runner as t
def die(inputs, parameters, output, progress):
    (output / "half").touch()
    os.kill(os.getpid(), signal.SIGKILL)
root, source = map(Path, sys.argv[1:])
inputs = t.CopyInputs(t.Artifact(source, "v1"))
t.Runner(root, t.SilentProgress()).run(t.component(die), inputs, t.CopyParameters())
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


def test_a_midi_folder_is_named_by_names_and_contents(tmp_path: Path) -> None:
    song = tmp_path / "a.mid"
    song.write_bytes(b"one")
    files = [(b"a.mid", os.fsencode(song))]
    first = midi_folder(tmp_path, files)
    assert isinstance(first, MidiFolder)
    assert midi_folder(tmp_path, files) == first
    assert midi_folder(tmp_path, [(b"b.mid", os.fsencode(song))]).digest != first.digest
    song.write_bytes(b"two")
    assert midi_folder(tmp_path, files).digest != first.digest


def test_a_package_is_versioned_by_every_module_in_it() -> None:
    assert source_digest(["tunesmith.music"]) == source_digest(["tunesmith.music"])
    assert source_digest(["tunesmith.music"]) != source_digest(["tunesmith.music.frames"])
    with pytest.raises(ModuleNotFoundError):
        source_digest(["tunesmith.music.none"])
