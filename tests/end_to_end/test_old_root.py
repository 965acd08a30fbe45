"""The files of release 0.1.0 are continued: its root by a run, its models by a server and a client.

tests/pipeline/test_old_root.py has what needs neither training nor a server.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunesmith.client import Composer
from tunesmith.client.connection import Connection, ModelVersion
from tunesmith.components.artifacts import NATS, PushedModel
from tunesmith.components.component import ParameterSet
from tunesmith.components.evaluator.component import EVALUATOR, EvaluatorParameters
from tunesmith.components.example_validator.component import (
    ANOMALIES,
    ExampleValidatorParameters,
)
from tunesmith.components.infra_validator.component import InfraValidatorParameters
from tunesmith.components.parameter_values import parameters_from
from tunesmith.components.progress import SilentProgress
from tunesmith.components.trainer.component import TrainerParameters
from tunesmith.music import Grid, TrackChoice
from tunesmith.music.reading import read_song
from tunesmith.pipeline.dag import COMPONENTS, PipelineConfig, PipelineResult
from tunesmith.pipeline.history import read_runs
from tunesmith.pipeline.lineage import read_lineage
from tunesmith.pipeline.published import read_versions
from tunesmith.pipeline.report import write_report
from tunesmith.pipeline.run import run_pipeline
from tunesmith.serving import EmbeddedServer, ServerOptions

SMALL: dict[str, tuple[type[ParameterSet], dict[str, Any]]] = {
    "ExampleValidator": (ExampleValidatorParameters, {"allow": ANOMALIES}),
    "Trainer": (
        TrainerParameters,
        {
            "epochs": 1,
            "batch": 32,
            "architecture": {"layers": 1, "units": 4, "embedding": 4, "dense": 4},
            "settings": {"sampling_seconds": 0},
        },
    ),
    "Evaluator": (
        EvaluatorParameters,
        {"songs": 1, "steps": 20, "blessing": {"beat": [], "previous_margin": 5.0}},
    ),
    "InfraValidator": (InfraValidatorParameters, {"requests": 3, "batch_requests": 1}),
}


@pytest.fixture(scope="module")
def continued(
    tmp_path_factory: pytest.TempPathFactory, extract_release_0_1_0: Callable[[Path], Path]
) -> tuple[Path, PipelineResult]:
    """The folder of the old root after a run of today's pipeline in it, and the run's result."""
    release = extract_release_0_1_0(tmp_path_factory.mktemp("continued"))
    parameters = {name: parameters_from(kind, given) for name, (kind, given) in SMALL.items()}
    config = PipelineConfig(release / "songs", release / "root", parameters)
    return release, run_pipeline(config, SilentProgress())


def test_a_run_goes_on_in_its_root(continued: tuple[Path, PipelineResult]) -> None:
    release, result = continued
    root = release / "root"
    assert result.pushed is not None
    assert result.pushed.version == 4
    # Nothing old is taken for what today's code would make.
    assert [int(each.path.name) for each in result.artifacts.values()][:7] == list(range(13, 20))
    compared = result.of(EVALUATOR).content()["previous"]
    assert compared["version"] == "3"
    assert compared["previous_nats"] == pytest.approx(4.409, abs=0.01)
    assert [run.outcome for run in read_runs(root)] == ["complete"] * 3
    assert read_runs(root)[-1].figure(NATS) is not None
    versions = read_versions(root / "models" / "tunesmith")
    assert [(each.version, each.blessed, each.run) for each in versions] == [
        (1, True, 1),
        (2, True, 2),
        (3, True, None),
        (4, True, 3),
    ]
    lineage = read_lineage(str(root / "models" / "tunesmith" / "4"))
    assert {each.component for each in lineage.executions} == {each.name for each in COMPONENTS}
    # The version that it was compared with leads to the first release's songs.
    assert {Path(source.path) for source in lineage.sources()} == {
        Path("/music/songs"),
        release / "songs",
    }
    page = write_report(root)
    assert page == root / "report.html"
    assert page.read_text().count("<h2>") >= 6
    assert "models/tunesmith/1" in (root / "reports" / "index.html").read_text()


def test_its_model_is_served_and_composes_the_song_that_it_composed(release_0_1_0: Path) -> None:
    then = read_song(release_0_1_0 / "song.mid", TrackChoice("all"), Grid(5.0)).frames
    model_dir = release_0_1_0 / "root" / "models" / "tunesmith"
    with (
        EmbeddedServer(model_dir, ServerOptions(port=0)) as server,
        Composer(server.address, model="tunesmith") as composer,
    ):
        now = composer.generate(steps=40, start_note=60, seed=7)
        assert now.frames == tuple(then)
        drawn = composer.generate(steps=40, start_note=60, seed=7, speculate=True)
        assert drawn.frames == now.frames
        at_once = composer.generate_many(2, steps=20, start_random=True, loop="server", seed=1)
        assert [len(song.frames) for song in at_once] == [20, 20]


def signatures(address: str) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Return (inputs, outputs) of each signature: dtype and shape by name."""
    connection = Connection(address)
    try:
        _, found = connection.signatures(ModelVersion("tunesmith"))
        return {
            name: (_described(each.inputs), _described(each.outputs))
            for name, each in found.items()
        }
    finally:
        connection.close()


def _described(tensors: Any) -> dict[str, tuple[int, int]]:
    return {name: (each.dtype, len(each.tensor_shape.dim)) for name, each in tensors.items()}


def test_its_client_finds_in_a_new_export_all_that_it_reads(
    release_0_1_0: Path, continued: tuple[Path, PipelineResult]
) -> None:
    """A client of that release sends these inputs and reads these outputs, no other ones."""
    old, old_format = read_of(release_0_1_0 / "root" / "models" / "tunesmith")
    new, new_format = read_of(continued[0] / "root" / "models" / "tunesmith")
    assert {"serving_default", "vocabulary", "settings", "generate", "drafter"} <= old.keys()
    # A client reads the format first, and guesses without an n-gram whose format it does not know.
    assert (old_format, new_format) == (1, 2)
    del old["drafter"][1]["occurrences"]
    for name, (inputs, outputs) in old.items():
        assert new[name][0] == inputs, name
        assert new[name][1].items() >= outputs.items(), name


def read_of(model_dir: Path) -> tuple[dict[str, tuple[Any, Any]], int]:
    """Return (inputs, outputs) of each signature, and the format of the drafter."""
    with EmbeddedServer(model_dir, ServerOptions(port=0)) as server:
        return signatures(server.address), drafter_format(server.address)


def drafter_format(address: str) -> int:
    """Return the format of the n-gram that a client guesses ahead by."""
    connection = Connection(address)
    try:
        ids = {"token_ids": np.zeros(1, np.int32)}
        answer = connection.predict(ModelVersion("tunesmith"), "drafter", ids)
        return int(answer["format"][0])
    finally:
        connection.close()


def test_an_old_version_says_which_model_it_is(release_0_1_0: Path) -> None:
    folder = release_0_1_0 / "root" / "models" / "tunesmith"
    digests = [PushedModel(folder / name, "").content_digest() for name in "123"]
    assert digests[0] == digests[2] != digests[1]
