"""A component that refuses: its artifact is kept, the run stops, and stops there again."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tunesmith.components.artifacts import Artifact, Blessing
from tunesmith.components.component import Component, ParameterSet, parameter
from tunesmith.components.errors import GateClosed
from tunesmith.components.progress import SilentProgress
from tunesmith.pipeline.runner import Runner


class Finding(Blessing):
    """Whether a song is short enough."""

    FILE = "finding.json"


@dataclass(frozen=True)
class Inputs:
    song: Artifact


@dataclass(frozen=True)
class Longest(ParameterSet):
    longest: int = parameter(3, "Notes at most.")


def gate(retry_refusals: bool = False) -> Component[Any, Any, Finding]:
    return Component(
        "Judge",
        Inputs,
        Longest,
        Finding,
        "toy_executors:judge",
        retry_refusals=retry_refusals,
    )


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    (tmp_path / "song").write_text("CDEF")
    return Inputs(Artifact(tmp_path, "v1"))


def looks(root: Path) -> int:
    return len((root / "looks").read_text())


def rows(root: Path, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(root / "tunesmith.sqlite") as connection:
        return connection.execute(query).fetchall()


def test_a_refusal_keeps_the_artifact_and_ends_the_run(tmp_path: Path, inputs: Inputs) -> None:
    root = tmp_path / "root"
    with (
        pytest.raises(GateClosed, match="has 4 notes: at most 3"),
        Runner(root, SilentProgress()) as runner,
    ):
        runner.run(gate(), inputs, Longest())
    assert "has 4 notes" in (root / "Judge" / "1" / "finding.json").read_text()
    for table in ("runs", "executions"):
        assert rows(root, f"SELECT outcome, message FROM {table}") == [
            ("refused", "refused (the song has 4 notes: at most 3)")
        ]
    assert rows(root, "SELECT type, path, execution FROM artifacts WHERE execution NOTNULL") == [
        ("Finding", "Judge/1", 1)
    ]


def test_the_same_is_refused_again_unseen_and_another_is_looked_at(
    tmp_path: Path, inputs: Inputs
) -> None:
    root = tmp_path / "root"
    for _ in range(2):
        with pytest.raises(GateClosed, match="has 4 notes: at most 3"):
            Runner(root, SilentProgress()).run(gate(), inputs, Longest())
    assert looks(root) == 1
    assert rows(root, "SELECT run, execution FROM skips") == [(2, 1)]
    Runner(root, SilentProgress()).run(gate(), inputs, Longest(4))
    assert looks(root) == 2


def test_a_gate_that_retries_refusals_looks_again_until_it_is_content(
    tmp_path: Path, inputs: Inputs
) -> None:
    root = tmp_path / "root"
    runner = Runner(root, SilentProgress())
    with pytest.raises(GateClosed):
        runner.run(gate(retry_refusals=True), inputs, Longest())
    # What is looked at has changed without its digest, as the speed of a machine does.
    (inputs.song.path / "song").write_text("CD")
    for _ in range(2):
        assert runner.run(gate(retry_refusals=True), inputs, Longest()).path.name == "2"
    assert looks(root) == 2
