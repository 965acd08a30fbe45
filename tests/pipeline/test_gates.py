"""A component that refuses: its artifact is kept, the run stops, and stops there again."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tunesmith.components.artifacts import Artifact
from tunesmith.components.errors import GateClosed
from tunesmith.components.progress import Progress, SilentProgress
from tunesmith.pipeline.runner import Component, Runner


@dataclass(frozen=True)
class Inputs:
    song: Artifact


@dataclass(frozen=True)
class Parameters:
    longest: int = 3


class Judge:
    """Refuses songs longer than its parameter, and counts how often it looked."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self, inputs: Inputs, parameters: Parameters, output: Path, _: Progress) -> None:
        self.looks += 1
        length = len((inputs.song.path / "song").read_text())
        (output / "length").write_text(str(length))
        if length > parameters.longest:
            raise GateClosed(f"the song has {length} notes: at most {parameters.longest}")


def gate(judge: Judge, asks_again: bool = False) -> Component[Inputs, Parameters, Artifact]:
    return Component(
        "Judge",
        Artifact,
        judge,
        (),
        lambda root, number, _: root / "Judge" / str(number),
        asks_again=asks_again,
    )


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    (tmp_path / "song").write_text("CDEF")
    return Inputs(Artifact(tmp_path, "v1"))


def rows(root: Path, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(root / "tunesmith.sqlite") as connection:
        return connection.execute(query).fetchall()


def test_a_refusal_keeps_the_artifact_and_ends_the_run(tmp_path: Path, inputs: Inputs) -> None:
    root = tmp_path / "root"
    with (
        pytest.raises(GateClosed, match="has 4 notes: at most 3"),
        Runner(root, SilentProgress()) as runner,
    ):
        runner.run(gate(Judge()), inputs, Parameters())
    assert (root / "Judge" / "1" / "length").read_text() == "4"
    for table in ("runs", "executions"):
        assert rows(root, f"SELECT outcome, message FROM {table}") == [
            ("refused", "the song has 4 notes: at most 3")
        ]
    assert rows(root, "SELECT type, path, execution FROM artifacts WHERE execution NOTNULL") == [
        ("Artifact", "Judge/1", 1)
    ]


def test_the_same_is_refused_again_unseen_and_another_is_looked_at(
    tmp_path: Path, inputs: Inputs
) -> None:
    judge = Judge()
    for _ in range(2):
        with pytest.raises(GateClosed, match="has 4 notes: at most 3"):
            Runner(tmp_path / "root", SilentProgress()).run(gate(judge), inputs, Parameters())
    assert judge.looks == 1
    assert rows(tmp_path / "root", "SELECT run, execution FROM skips") == [(2, 1)]
    Runner(tmp_path / "root", SilentProgress()).run(gate(judge), inputs, Parameters(4))
    assert judge.looks == 2


def test_a_gate_that_asks_again_looks_again_until_it_is_content(
    tmp_path: Path, inputs: Inputs
) -> None:
    judge = Judge()
    runner = Runner(tmp_path / "root", SilentProgress())
    with pytest.raises(GateClosed):
        runner.run(gate(judge, asks_again=True), inputs, Parameters())
    # What is looked at has changed without its digest, as the speed of a machine does.
    (inputs.song.path / "song").write_text("CD")
    for _ in range(2):
        assert runner.run(gate(judge, asks_again=True), inputs, Parameters()).path.name == "2"
    assert judge.looks == 2
