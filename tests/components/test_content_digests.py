"""Digests of artifacts: equal for equal content, whoever made it, when and where; for no other."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from tunesmith.components.artifacts import (
    Artifact,
    ExampleAnomalies,
    Examples,
    ExampleStatistics,
    InfraBlessing,
    ModelEvaluation,
    PushedModel,
    Sequences,
    TrainedModel,
)
from tunesmith.components.component import Context
from tunesmith.components.evaluator.component import BlessingParameters, EvaluatorParameters
from tunesmith.components.example_gen.component import ExampleGenParameters, GridParameters
from tunesmith.components.infra_validator.component import InfraValidatorParameters
from tunesmith.components.networks.paper.sizes import PaperSizes
from tunesmith.components.progress import SilentProgress
from tunesmith.components.records.shards import tfrecord
from tunesmith.components.records.tfrecord import read_records
from tunesmith.components.saved_predictor import SavedPredictor
from tunesmith.components.sources.source import read_source
from tunesmith.components.trainer.component import ServedSettings, TrainerParameters
from tunesmith.components.transform.component import TransformParameters
from tunesmith.music import CorpusSettings, Grid, TrackChoice, Vocabulary
from tunesmith.pipeline.dag import COMPONENTS, connect

WriteScale = Callable[[Path, int, int], Path]

READ_WITH = CorpusSettings(TrackChoice("all"), Grid(4.0, 0, True, 40, 100))
PARAMETERS: dict[str, Any] = {
    "ExampleGen": ExampleGenParameters(
        track="all", grid=GridParameters(4.0, 0, True, (40, 100)), eval_fraction=0.3
    ),
    "Transform": TransformParameters(transpose="0..1"),
    "Trainer": TrainerParameters(
        architecture=PaperSizes(embedding=4, units=4, layers=1, dense=4, window=5),
        epochs=2,
        settings=ServedSettings(sampling_seconds=0),
    ),
    "Evaluator": EvaluatorParameters(BlessingParameters(beat=()), songs=2, steps=10),
    "InfraValidator": InfraValidatorParameters(
        requests=2, batch=4, batch_requests=1, median_ms=6e4, p95_ms=6e4, batch_median_ms=6e4
    ),
}
"""For a small corpus and a small network; the defaults where there are none."""


def execute_all(
    midi: Path, root: Path, beam_options: tuple[str, ...] = (), *, reorder: bool = False
) -> dict[str, Artifact]:
    """Execute every component of the pipeline, and return the artifacts by its name.

    Args:
        midi: a folder of songs.
        root: where the artifacts go.
        beam_options: of the Beam jobs.
        reorder: whether records are put into one file, in another order, before they are read.
    """
    made: list[Artifact] = [read_source(midi)]
    found: dict[str, Artifact] = {}
    for component in COMPONENTS:
        folder = root / component.name
        folder.mkdir(parents=True)
        parameters = PARAMETERS.get(component.name) or component.parameters()
        context = Context(folder, root, SilentProgress(), beam_options)
        component.execute(connect(component, made), parameters, context)
        if reorder:
            in_one_file_backwards(folder)
        artifact = component.output(folder, component.output(folder, "").content_digest())
        found[component.name] = artifact
        made.append(artifact)
    return found


def in_one_file_backwards(folder: Path) -> None:
    for split in ("train", "eval"):
        shards = sorted(folder.glob(f"{split}-*.tfrecord"))
        records = [record for shard in shards for record in read_records(shard)]
        for shard in shards:
            shard.unlink()
        if shards:
            content = b"".join(map(tfrecord, reversed(records)))
            (folder / f"{split}-00000-of-00001.tfrecord").write_bytes(content)


ANOTHER_PROCESS = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_content_digests import execute_all
made = execute_all(
    Path(sys.argv[2]),
    Path(sys.argv[3]),
    ("--runner=FnApiRunner", "--direct_num_workers=2", "--direct_running_mode=multi_threading"),
    reorder=True,
)
print(json.dumps({name: artifact.digest for name, artifact in made.items()}))
"""


@pytest.fixture(scope="module")
def midi(tmp_path_factory: pytest.TempPathFactory, write_scale: WriteScale) -> Path:
    folder = tmp_path_factory.mktemp("midi")
    for number in range(12):
        write_scale(folder / f"{number}.mid", 48 + number, 20 + number)
    (folder / "broken.mid").write_bytes(b"no song")
    return folder


@pytest.fixture(scope="module")
def made(midi: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    return execute_all(midi, tmp_path_factory.mktemp("root"))


@pytest.mark.long
def test_every_component_leaves_the_same_content_twice(
    made: dict[str, Artifact], midi: Path, tmp_path: Path
) -> None:
    shutil.copytree(midi, tmp_path / "songs")
    program = [sys.executable, "-c", ANOTHER_PROCESS, str(Path(__file__).parent)]
    again = subprocess.run(
        [*program, str(tmp_path / "songs"), str(tmp_path / "elsewhere")],
        check=True,
        capture_output=True,
        text=True,
    )
    digests = {name: artifact.digest for name, artifact in made.items()}
    assert json.loads(again.stdout.splitlines()[-1]) == digests
    assert list(digests) == [component.name for component in COMPONENTS]


def test_how_songs_were_read_is_told_once_and_travels_with_them(made: dict[str, Artifact]) -> None:
    names = {each.name for kind in (TransformParameters,) for each in fields(kind)}
    assert not names & {"track", "grid", *(each.name for each in fields(GridParameters))}
    sequences, examples, model = made["ExampleGen"], made["Transform"], made["Trainer"]
    assert isinstance(sequences, Sequences)
    assert isinstance(examples, Examples)
    assert isinstance(model, TrainedModel)
    assert sequences.corpus() == READ_WITH
    vocabulary = examples.vocabulary()
    assert (vocabulary.corpus.track, vocabulary.corpus.grid) == (READ_WITH.track, READ_WITH.grid)
    assert vocabulary.frames_per_second == 4.0
    served = SavedPredictor.load(model.saved_model).vocabulary
    assert (served.corpus, served.frames_per_second) == (vocabulary.corpus, 4.0)


Change = Callable[[Path], None]


def rewritten(name: str, *path: str | int, to: Any) -> Change:
    """Return what changes one value in a JSON file of an artifact, and its layout."""

    def change(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        place: Any = content
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = to
        (folder / name).write_text(json.dumps(content, indent=5))

    return change


def written(name: str) -> Change:
    """Return what writes something else into a file."""

    def change(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("something else")

    return change


def without_a_song(folder: Path) -> None:
    (shard, *_) = sorted(folder.glob("train-*.tfrecord"))
    records = list(read_records(shard))
    shard.write_bytes(b"".join(map(tfrecord, records[1:])))


def in_another_vocabulary(folder: Path) -> None:
    path = folder / "vocabulary.json"
    vocabulary = Vocabulary.read(path)
    frames = (*vocabulary.frames[:-2], *vocabulary.frames[:-3:-1])
    path.write_text(Vocabulary(frames, 4.0, vocabulary.corpus).to_json())


ORIGIN = "assets.extra/tunesmith_origin.json"

SAME: list[tuple[type[Artifact], Change]] = [
    (Sequences, in_one_file_backwards),
    (Sequences, written("rejected.jsonl")),
    (Examples, in_one_file_backwards),
    (Examples, written("report.html")),
    (TrainedModel, written("history.json")),
    (TrainedModel, written("saved_model/saved_model.pb")),
    (ModelEvaluation, rewritten("evaluation.json", "seconds", "likelihood", to=99.0)),
    (ModelEvaluation, written("songs/01.mid")),
    (InfraBlessing, rewritten("infra.json", "checks", -2, "value", to=99.0)),
    (InfraBlessing, rewritten("infra.json", "checks", -2, "why", to="99 ms")),
    (InfraBlessing, rewritten("infra.json", "log", to="printed")),
    (PushedModel, rewritten(ORIGIN, "published", to="2001-01-01T00:00:00+00:00")),
]

OTHERS: list[tuple[type[Artifact], Change]] = [
    (Sequences, without_a_song),
    (Sequences, rewritten("corpus.json", "track", to="first")),
    (Sequences, rewritten("summary.json", "rejected", "malformed", to=2)),
    (Examples, without_a_song),
    (Examples, in_another_vocabulary),
    (Examples, rewritten("statistics.json", "splits", "eval", "mapped_share", to=0.5)),
    (ExampleStatistics, rewritten("statistics.json", "splits", "eval", "mapped_share", to=0.5)),
    (ExampleAnomalies, rewritten("anomalies.json", "parameters", "minimum_songs", to=1)),
    (TrainedModel, rewritten("content.json", "weights", to="others")),
    (TrainedModel, rewritten("content.json", "signatures", "settings", to="another")),
    (ModelEvaluation, rewritten("evaluation.json", "splits", "eval", "nats", to=0.1)),
    (ModelEvaluation, rewritten("evaluation.json", "checks", 0, "passed", to=False)),
    (ModelEvaluation, rewritten("evaluation.json", "model_digest", to="another")),
    (InfraBlessing, rewritten("infra.json", "checks", -2, "passed", to=False)),
    (InfraBlessing, rewritten("infra.json", "engine", to="docker")),
    (InfraBlessing, rewritten("infra.json", "model_digest", to="another")),
    (PushedModel, rewritten(ORIGIN, "model", to="another")),
]


@pytest.mark.parametrize(
    ("kind", "change", "same"),
    [
        *((kind, change, True) for kind, change in SAME),
        *((kind, change, False) for kind, change in OTHERS),
    ],
)
def test_content_counts_and_nothing_else_does(
    made: dict[str, Artifact], tmp_path: Path, kind: type[Artifact], change: Change, same: bool
) -> None:
    (artifact,) = (each for each in made.values() if type(each) is kind)
    shutil.copytree(artifact.path, tmp_path / "copy")
    copy = kind(tmp_path / "copy", "")
    assert copy.content_digest() == artifact.digest
    change(copy.path)
    assert (copy.content_digest() == artifact.digest) is same


def test_every_type_of_artifact_is_tried(made: dict[str, Artifact]) -> None:
    assert {kind for kind, _ in OTHERS} == {type(artifact) for artifact in made.values()}
