"""A root that release 0.1.0 made: what it recorded is told, and what cannot be continued refused.

tests/end_to_end/test_old_root.py runs the whole pipeline in it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tunesmith.components.artifacts import (
    LOSS,
    NATS,
    Artifact,
    Examples,
    InfraBlessing,
    ModelEvaluation,
    OldArtifact,
    PushedModel,
    Sequences,
    TrainedModel,
)
from tunesmith.components.component import Component, ParameterSet, parameter
from tunesmith.components.progress import SilentProgress
from tunesmith.components.pusher.component import PUSHER, PusherInputs, PusherParameters
from tunesmith.components.pusher.versions import versions_of
from tunesmith.components.transform.component import TRANSFORM, TransformInputs
from tunesmith.pipeline.dag import COMPONENTS, PipelineConfig, served_model
from tunesmith.pipeline.database import StoreError
from tunesmith.pipeline.history import read_runs
from tunesmith.pipeline.inputs import take_inputs
from tunesmith.pipeline.lineage import read_lineage
from tunesmith.pipeline.published import read_versions
from tunesmith.pipeline.rollback import roll_back
from tunesmith.pipeline.run import plan_pipeline, run_pipeline
from tunesmith.pipeline.runner import Runner
from tunesmith.pipeline.store import STORE_NAME

FIRST_MODEL = "f99732a3736757ef9fb97684ceb82614"
SECOND_MODEL = "90cd0a6b906702adc70fb9936a535e93"
FIRST_RUN = [
    "ExampleGen",
    "Transform",
    "StatisticsGen",
    "ExampleValidator",
    "Trainer",
    "Evaluator",
    "InfraValidator",
    "Pusher",
]


@pytest.fixture
def root(release_0_1_0: Path) -> Iterator[Path]:
    """The root; its published models are untouched by every test but those that publish."""
    root = release_0_1_0 / "root"
    before = published_files(root)
    yield root
    assert published_files(root).items() >= before.items()


def published_files(root: Path) -> dict[Path, bytes]:
    found = (root / "models").rglob("*")
    return {path.relative_to(root): path.read_bytes() for path in found if path.is_file()}


def new_model(root: Path) -> TrainedModel:
    """A model that this release trained."""
    saved = root.parent / "new" / "saved_model"
    saved.mkdir(parents=True)
    (saved / "saved_model.pb").write_text("new")
    return TrainedModel(saved.parent, "digest of new")


def test_its_runs_are_listed_with_their_figures(root: Path) -> None:
    first, second = read_runs(root)
    assert [step.component for step in first.steps] == FIRST_RUN
    assert [step.skipped for step in second.steps] == [True] * 4 + [False] * 4
    assert first.parameters["midi_dir"] == "/music/songs"
    assert (first.host, first.outcome, first.config) == ("studio", "complete", "")
    assert first.published() == ("models/tunesmith/1",)
    assert [round(run.figure(NATS) or 0, 3) for run in (first, second)] == [4.409, 4.411]
    assert [round(run.figure(LOSS) or 0, 3) for run in (first, second)] == [4.409, 4.411]
    assert first.steps[4].figures["weights"] == 1695


@pytest.mark.parametrize(
    ("version", "executions"),
    [
        (1, [1, 2, 5, 6, 7, 8]),
        # It was compared with the first.
        (2, [1, 2, 5, 6, 7, 8, 9, 10, 11, 12]),
        # A rollback that nobody recorded.
        (3, [1, 2, 5, 6, 7, 8]),
    ],
)
def test_lineage_of_its_versions_still_tells_everything(
    root: Path, version: int, executions: list[int]
) -> None:
    lineage = read_lineage(str(root / "models" / "tunesmith" / str(version)))
    assert [each.id for each in lineage.executions] == executions
    trained = [each for each in lineage.executions if each.component == "Trainer"]
    assert {each.parameters["architecture"]["units"] for each in trained} == {4}
    (midi,) = lineage.sources()
    assert midi.path == "/music/songs"
    assert len(midi.files) == 12
    assert all(len(file.blake2b) == 128 for file in midi.files)


def test_its_versions_are_told_by_which_gates_they_are_blessed(root: Path) -> None:
    versions = read_versions(root / "models" / "tunesmith")
    assert [
        (each.version, each.kind, each.copy_of, each.run, each.trained_by, each.rolled_back_by)
        for each in versions
    ] == [
        (1, "pushed", None, 1, 5, None),
        (2, "pushed", None, 2, 9, 3),
        (3, "rollback", 1, None, 5, None),
    ]
    assert [each.is_served for each in versions] == [False, False, True]
    assert [each.model for each in versions] == [FIRST_MODEL, SECOND_MODEL, FIRST_MODEL]
    assert [[finding.execution for finding in each.findings] for each in versions] == [
        [6, 7],
        [10, 11],
        [6, 7],
    ]
    assert all(each.blessed and each.published and each.nats for each in versions)


def test_version_numbers_go_on_and_the_served_model_is_compared_with(root: Path) -> None:
    candidate = new_model(root)
    config = PipelineConfig(root.parent / "songs", root)
    served = served_model(config, [candidate])
    assert served == PushedModel(root / "models" / "tunesmith" / "3", FIRST_MODEL)
    pushed = Runner(root, SilentProgress()).run(PUSHER, PusherInputs(candidate), PusherParameters())
    assert pushed.version == 4
    assert versions_of(root / "models" / "tunesmith") == [1, 2, 3, 4]
    assert roll_back(root / "models" / "tunesmith", None, SilentProgress()) == 5
    lineage = read_lineage(str(root / "models" / "tunesmith" / "5"))
    # Version 3, a copy of 1 that nobody recorded, is traced to the training of 1.
    assert [each.component for each in lineage.executions][-2:] == ["Pusher", "Rollback"]
    assert 5 in [each.id for each in lineage.executions]
    assert len(lineage.sources()[0].files) == 12


@dataclass(frozen=True)
class Size(ParameterSet):
    size: int = parameter(1, "Zeros to write.")


@dataclass(frozen=True)
class Previous:
    previous: PushedModel


LOOK: Component[Any, Any, Artifact] = Component(
    "Look", Previous, Size, Artifact, "toy_executors:write"
)


@pytest.mark.parametrize(("version", "trainer"), [(2, 9), (3, 5)])
def test_a_version_that_a_new_execution_read_is_still_traced(
    root: Path, version: int, trainer: int
) -> None:
    folder = root / "models" / "tunesmith" / str(version)
    # As Evaluator reads the served model: with the digest of the content.
    served = PushedModel(folder, PushedModel(folder, "").content_digest())
    looked = Runner(root, SilentProgress()).run(LOOK, Previous(served), Size())
    for what in (folder, looked.path):
        lineage = read_lineage(str(what))
        assert trainer in [each.id for each in lineage.executions]
        assert [Path(source.path) for source in lineage.sources()] == [Path("/music/songs")]


def test_nothing_of_it_is_taken_for_what_would_be_executed_now(root: Path) -> None:
    steps = plan_pipeline(PipelineConfig(root.parent / "songs", root))
    assert [step.component for step in steps] == [each.name for each in COMPONENTS]
    assert steps[0].executed is True
    reasons = steps[0].reasons
    assert "executed by release 0.1.0, which did not record its code modules" in reasons
    assert any("grid.highest" in reason for reason in reasons)
    assert all(step.executed is not False for step in steps)


def test_songs_without_their_settings_are_refused_by_whatever_way_they_come(root: Path) -> None:
    advice = (
        r"ExampleGen/1 was written by release 0\.1\.0 and lacks the track and grid of its songs"
    )
    with pytest.raises(OldArtifact, match=f"{advice}: execute ExampleGen again") as caught:
        run_pipeline(
            PipelineConfig(root.parent / "songs", root, first="Transform"), SilentProgress()
        )
    assert "\n" not in str(caught.value)
    for given in ("1", str(root / "ExampleGen" / "1")):
        inputs = take_inputs(TransformInputs, [given], root)
        assert isinstance(inputs.sequences, Sequences)
        with pytest.raises(OldArtifact, match=advice):
            Runner(root, SilentProgress()).run(TRANSFORM, inputs, TRANSFORM.parameters())
    assert [run.outcome for run in read_runs(root)[2:]] == ["failed"] * 3


@pytest.mark.parametrize("blessing", ["6", "10", "11"])
def test_a_finding_that_does_not_say_its_model_blesses_none(root: Path, blessing: str) -> None:
    inputs = take_inputs(PusherInputs, ["9", blessing], root)
    with pytest.raises(OldArtifact, match=r"written by release 0\.1\.0 and lacks"):
        Runner(root, SilentProgress()).run(PUSHER, inputs, PusherParameters())
    assert versions_of(root / "models" / "tunesmith") == [1, 2, 3]


def test_a_model_of_it_may_be_pushed_by_hand_without_a_blessing(root: Path) -> None:
    inputs = take_inputs(PusherInputs, ["9"], root)
    pushed = Runner(root, SilentProgress()).run(PUSHER, inputs, PusherParameters())
    assert (pushed.version, pushed.digest) == (4, SECOND_MODEL)


def test_old_findings_are_told_apart_from_new_ones(root: Path) -> None:
    evaluation = ModelEvaluation(root / "Evaluator" / "6", "")
    assert evaluation.blessed
    with pytest.raises(OldArtifact, match="the digest of its model: execute Evaluator again"):
        _ = evaluation.model_digest
    infra = InfraBlessing(root / "InfraValidator" / "7", "")
    with pytest.raises(
        OldArtifact, match="the reasons of failed checks: execute InfraValidator again"
    ):
        infra.checks()
    assert Examples(root / "Transform" / "2", "").vocabulary().frames_per_second == 5


def test_a_later_releases_root_is_refused(root: Path) -> None:
    with closing(sqlite3.connect(root / STORE_NAME)) as connection:
        connection.execute("PRAGMA user_version = 4")
    config = PipelineConfig(root.parent / "songs", root)
    for attempt in (
        lambda: run_pipeline(config, SilentProgress()),
        lambda: plan_pipeline(config),
        lambda: read_runs(root),
        lambda: read_versions(root / "models" / "tunesmith"),
    ):
        with pytest.raises(StoreError, match="has schema version 4, but this tunesmith"):
            attempt()
