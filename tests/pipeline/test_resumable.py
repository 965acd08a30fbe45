"""What the runner keeps for an execution that can go on after a kill or a failure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tunesmith.components.artifacts import Artifact
from tunesmith.components.progress import Progress, SilentProgress
from tunesmith.pipeline.runner import Component, Runner


@dataclass(frozen=True)
class Inputs:
    source: Artifact


@dataclass(frozen=True)
class Parameters:
    laps: int = 3


def run_a_lap(_: Inputs, parameters: Parameters, output: Path, __: Progress, kept: Path) -> None:
    """Run one lap, and fail unless it was the last."""
    kept.mkdir(parents=True, exist_ok=True)
    laps = len(list(kept.iterdir())) + 1
    (kept / str(laps)).touch()
    if laps < parameters.laps:
        raise RuntimeError("out of breath")
    (output / "laps").write_text(str(laps))


def runner(root: Path) -> Runner:
    return Runner(root, SilentProgress())


COMPONENT = Component(
    "Run", Artifact, run_a_lap, (), lambda root, number, _: root / "Run" / str(number), True
)


def test_an_execution_goes_on_from_what_it_kept(tmp_path: Path) -> None:
    inputs = Inputs(Artifact(tmp_path, "v1"))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="out of breath"):
            runner(tmp_path).run(COMPONENT, inputs, Parameters())
    made = runner(tmp_path).run(COMPONENT, inputs, Parameters())
    assert (made.path / "laps").read_text() == "3"
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_another_execution_starts_anew(tmp_path: Path) -> None:
    for digest, parameters in (("v1", Parameters(3)), ("v1", Parameters(2)), ("v2", Parameters(3))):
        with pytest.raises(RuntimeError, match="out of breath"):
            runner(tmp_path).run(COMPONENT, Inputs(Artifact(tmp_path, digest)), parameters)
    kept = [len(list(folder.iterdir())) for folder in (tmp_path / "checkpoints").iterdir()]
    assert kept == [1, 1, 1]


def test_what_a_killed_run_could_not_remove_goes_with_the_next(tmp_path: Path) -> None:
    inputs = Inputs(Artifact(tmp_path, "v1"))
    made = runner(tmp_path).run(COMPONENT, inputs, Parameters(1))
    left = tmp_path / "checkpoints" / made.digest
    left.mkdir()
    assert runner(tmp_path).run(COMPONENT, inputs, Parameters(1)).path == made.path
    assert not left.exists()
