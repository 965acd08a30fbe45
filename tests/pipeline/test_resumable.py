"""The files that the runner keeps for an execution that can go on after a kill or a failure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tunesmith.components.artifacts import Artifact
from tunesmith.components.component import Component, ParameterSet, parameter
from tunesmith.components.progress import SilentProgress
from tunesmith.pipeline.runner import Runner


@dataclass(frozen=True)
class Inputs:
    source: Artifact


@dataclass(frozen=True)
class Laps(ParameterSet):
    laps: int = parameter(3, "Laps to run.", least=1)


RUN: Component[Any, Any, Artifact] = Component(
    "Run", Inputs, Laps, Artifact, "toy_executors:run_a_lap", resumable=True
)


def runner(root: Path) -> Runner:
    return Runner(root, SilentProgress())


def test_an_execution_goes_on_from_what_it_kept(tmp_path: Path) -> None:
    inputs = Inputs(Artifact(tmp_path, "v1"))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="out of breath"):
            runner(tmp_path).run(RUN, inputs, Laps())
    made = runner(tmp_path).run(RUN, inputs, Laps())
    assert (made.path / "laps").read_text() == "3"
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_another_execution_starts_anew(tmp_path: Path) -> None:
    for digest, parameters in (("v1", Laps(3)), ("v1", Laps(2)), ("v2", Laps(3))):
        with pytest.raises(RuntimeError, match="out of breath"):
            runner(tmp_path).run(RUN, Inputs(Artifact(tmp_path, digest)), parameters)
    kept = [len(list(folder.iterdir())) for folder in (tmp_path / "checkpoints").iterdir()]
    assert kept == [1, 1, 1]


def test_what_a_killed_run_could_not_remove_goes_with_the_next(tmp_path: Path) -> None:
    inputs = Inputs(Artifact(tmp_path, "v1"))
    with runner(tmp_path) as running:
        left = running.planner.plan(RUN, inputs, Laps(1)).checkpoints
    made = runner(tmp_path).run(RUN, inputs, Laps(1))
    left.mkdir()
    assert runner(tmp_path).run(RUN, inputs, Laps(1)).path == made.path
    assert not left.exists()
