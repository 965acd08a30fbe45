"""``tunesmith runs`` and ``tunesmith lineage``: what they tell, and what of."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tunesmith.cli.main import cli
from tunesmith.components.artifacts import (
    Artifact,
    MidiFolder,
    ModelEvaluation,
    PushedModel,
    TrainedModel,
)
from tunesmith.components.component import Component, ParameterSet, parameter
from tunesmith.components.errors import GateClosed
from tunesmith.components.progress import SilentProgress
from tunesmith.components.pusher.versions import ORIGIN_FILE
from tunesmith.components.sources.source import read_source
from tunesmith.pipeline.runner import Runner
from tunesmith.pipeline.store import STORE_NAME

SONGS = 12


class Notes(Artifact):
    """The lines that were read."""


@dataclass(frozen=True)
class Songs:
    midi: MidiFolder


@dataclass(frozen=True)
class Learned:
    examples: Notes


@dataclass(frozen=True)
class Judged:
    examples: Notes
    model: TrainedModel


@dataclass(frozen=True)
class Widths(ParameterSet):
    units: int = parameter(128, "Width.")


@dataclass(frozen=True)
class Parameters(ParameterSet):
    sizes: Widths = field(default_factory=Widths)
    title: str = parameter("[bold]a", "A title.")


@dataclass(frozen=True)
class Most(ParameterSet):
    most: float = parameter(1.0, "Nats at most.")


READ: Component[Any, Any, Notes] = Component(
    "Read", Songs, Parameters, Notes, "toy_executors:touch"
)
LEARN: Component[Any, Any, TrainedModel] = Component(
    "Learn", Learned, Parameters, TrainedModel, "toy_executors:learn"
)
JUDGE: Component[Any, Any, ModelEvaluation] = Component(
    "Judge", Judged, Most, ModelEvaluation, "toy_executors:evaluate"
)
PUSH: Component[Any, Any, PushedModel] = Component(
    "Push", Judged, Parameters, PushedModel, "toy_executors:touch"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root after two runs: one to the end, and one that skips it and is then refused."""
    songs = tmp_path / "songs"
    songs.mkdir()
    for number in range(SONGS):
        (songs / f"{number:02}.mid").write_bytes(b"song %d" % number)
    Path(os.fsdecode(os.fsencode(songs) + b"/99-\xff.mid")).write_bytes(b"no text")
    root = tmp_path / "root"
    for run in (1, 2):
        config = {"midi_dir": songs}
        try:
            with Runner(root, SilentProgress(), command="run", config=config) as runner:
                examples = runner.run(READ, Songs(read_source(songs)), Parameters())
                model = runner.run(LEARN, Learned(examples), Parameters(Widths(8)))
                both = Judged(examples, model)
                if run == 2:
                    runner.run(JUDGE, both, Most())
                runner.run(PUSH, both, Parameters())
        except GateClosed:
            continue
    return root


def tunesmith(*arguments: object) -> str:
    done = CliRunner().invoke(cli, [str(each) for each in arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_runs_tell_what_was_executed_skipped_and_refused(root: Path) -> None:
    first, second = json.loads(tunesmith("runs", "--root", root, "--json"))
    assert (first["command"], first["outcome"]) == ("run", "complete")
    assert first["parameters"] == {"midi_dir": str(root.parent / "songs")}
    assert [(step["component"], step["skipped"]) for step in first["steps"]] == [
        ("Read", False),
        ("Learn", False),
        ("Push", False),
    ]
    assert second["outcome"] == "refused"
    assert "not blessed (2.0 nats, [at most] 1.0)" in second["message"]
    assert [
        (step["execution"], step["component"], step["skipped"], step["artifact"], step["outcome"])
        for step in second["steps"]
    ] == [
        (1, "Read", True, "Read/1", "complete"),
        (2, "Learn", True, "Learn/2", "complete"),
        (4, "Judge", False, "Judge/4", "refused"),
    ]
    assert second["steps"][1]["figures"]["cut loss"] == 2.5
    assert second["steps"][2]["figures"] == {"eval nats": 2.0, "eval first guess right": 0.25}
    assert len(json.loads(tunesmith("runs", "--root", root, "--json", "--last", 1))) == 1


def test_runs_as_a_table(root: Path) -> None:
    text = tunesmith("runs", "--root", root)
    lines = [line.split() for line in text.splitlines() if line.strip()][2:]
    # The message of the second run takes several lines.
    started = [line for line in lines if {"complete", "skipped", "refused"} & set(line[:3])]
    assert [line[:3] for line in started] == [
        ["1", "run", "complete"],
        ["Read", "1", "complete"],
        ["Learn", "2", "complete"],
        ["Push", "3", "complete"],
        ["2", "run", "refused"],
        ["Read", "1", "skipped"],
        ["Learn", "2", "skipped"],
        ["Judge", "4", "refused"],
    ]
    assert "not blessed (2.0 nats, [at most] 1.0)" in " ".join(text.split())


def test_runs_show_nats_and_loss_where_the_artifacts_are_still_there(root: Path) -> None:
    def figures() -> dict[str, list[str]]:
        lines = [line.split() for line in tunesmith("runs", "--root", root).splitlines()]
        named = [line for line in lines if line and line[0] in ("1", "2", "Learn", "Judge")]
        return {line[0]: [word for word in line if word in ("2.000", "2.500")] for line in named}

    assert figures() == {
        "1": ["2.500"],
        "Learn": ["2.500"],
        "2": ["2.000", "2.500"],
        "Judge": ["2.000"],
    }
    shutil.rmtree(root / "Learn" / "2")
    (root / "Judge" / "4" / "evaluation.json").write_text("{}")
    assert not any(figures().values())


@pytest.fixture
def wider(root: Path) -> Path:
    """The root after a third run, with a wider model that is blessed."""
    with Runner(root, SilentProgress(), command="run") as runner:
        examples = runner.run(
            READ, Songs(read_source(root.parent / "songs")), Parameters(title="b")
        )
        model = runner.run(LEARN, Learned(examples), Parameters(Widths(16)))
        runner.run(JUDGE, Judged(examples, model), Most())
    return root


def test_two_runs_side_by_side(wider: Path) -> None:
    told = json.loads(tunesmith("runs", "--root", wider, "--compare", 2, 3, "--json"))
    assert [run["id"] for run in told["runs"]] == [2, 3]
    differing = {
        (row["component"], row["name"]): (row["first"], row["second"])
        for part in ("parameters", "figures", "code")
        for row in told[part]
        if row["differs"]
    }
    assert differing == {
        ("Read", "title"): ("[bold]a", "b"),
        ("Learn", "sizes.units"): (8, 16),
        ("Learn", "cut loss"): (2.5, 1.25),
        ("Learn", "weights"): (8, 16),
        ("Judge", "eval nats"): (2.0, 0.75),
    }
    alike = {(row["component"], row["name"]) for row in told["parameters"] if not row["differs"]}
    assert alike == {
        ("Read", "sizes.units"),
        ("Learn", "title"),
        ("Judge", "most"),
    }


def test_a_component_that_one_run_never_came_to_stands_alone(wider: Path) -> None:
    told = json.loads(tunesmith("runs", "--root", wider, "--compare", 1, 2, "--json"))
    rows = {(row["component"], row["name"]): row for row in told["parameters"] + told["figures"]}
    assert (rows["Judge", "most"]["first"], rows["Judge", "most"]["second"]) == (None, 1.0)
    assert (rows["Push", "title"]["first"], rows["Push", "title"]["second"]) == ("[bold]a", None)
    assert not rows["Learn", "cut loss"]["differs"]


def test_two_runs_side_by_side_as_a_table(wider: Path) -> None:
    text = tunesmith("runs", "--root", wider, "--compare", 2, 3)
    lines = [line.split() for line in text.splitlines() if line.strip()]
    assert ["*", "Learn", "sizes.units", "8", "16"] in lines
    assert ["*", "Learn", "cut", "loss", "2.5", "1.25"] in lines
    assert ["Learn", "title", "[bold]a", "[bold]a"] in lines
    # Equal code is no news.
    assert not any("code" in line for line in lines)


def test_lineage_tells_the_versions_of_the_libraries(root: Path) -> None:
    told = json.loads(tunesmith("lineage", 2, "--root", root, "--json"))
    assert {"numpy", "tensorflow"} <= told["executions"][-1]["libraries"].keys()
    assert f"numpy {metadata.version('numpy')}" in tunesmith("lineage", 2, "--root", root)


def test_the_root_is_found_around_the_working_directory(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root / "Push")
    assert len(json.loads(tunesmith("runs", "--json"))) == 2
    assert json.loads(tunesmith("lineage", "2", "--json"))["artifact"]["type"] == "TrainedModel"


@pytest.mark.parametrize("how", ["folder", "inside", "relative", "number", "moved"])
def test_lineage_leads_from_a_version_to_the_songs_and_every_parameter(
    root: Path, how: str
) -> None:
    arguments: dict[str, list[object]] = {
        "folder": [root / "Push" / "3"],
        "inside": [root / "Push" / "3" / "done"],
        "relative": ["Push/3", "--root", root],
        "number": ["3", "--root", root],
        "moved": [root.with_name("elsewhere") / "Push" / "3"],
    }
    if how == "moved":
        root.rename(root.with_name("elsewhere"))
    told = json.loads(tunesmith("lineage", *arguments[how], "--json"))
    assert told["artifact"]["type"] == "PushedModel"
    assert [each["component"] for each in told["executions"]] == ["Read", "Learn", "Push"]
    assert [each["parameters"]["sizes"]["units"] for each in told["executions"]] == [128, 8, 128]
    assert all(each["code"] and each["version"] for each in told["executions"])
    assert set(told["executions"][2]["inputs"]) == {"examples", "model"}
    (midi,) = told["sources"]
    assert midi["path"] == str(root.parent / "songs")
    assert len(midi["files"]) == SONGS + 1
    assert midi["files"][3] == {
        "path": "03.mid",
        "blake2b": hashlib.blake2b(b"song 3").hexdigest(),
    }
    assert midi["files"][-1]["path"] == "99-\\xff.mid"


def test_lineage_of_a_version_that_was_rolled_back_to_or_copied_away(
    root: Path, tmp_path: Path
) -> None:
    (model,) = json.loads(tunesmith("lineage", "2", "--root", root, "--json"))["executions"][1:]
    for version, origin in (
        (root / "Push" / "4", {"copy_of": 3}),
        (root / "Push" / "5", {"copy_of": 4, "instead_of": 4}),
        (root / "Push" / "8", {"copy_of": 7, "model": model["output"]["digest"]}),
        (tmp_path / "srv" / "1", {"model": model["output"]["digest"]}),
    ):
        (version / ORIGIN_FILE).parent.mkdir(parents=True)
        (version / ORIGIN_FILE).write_text(json.dumps(origin))
        told = json.loads(tunesmith("lineage", version, "--root", root, "--json"))
        is_known = version.name in "45"
        assert told["artifact"]["path"] == str(root / ("Push/3" if is_known else "Learn/2"))
        assert len(told["sources"][0]["files"]) == SONGS + 1


def test_what_is_in_a_root_among_the_songs_is_no_song(root: Path) -> None:
    inside = root.parent / "songs" / "root"
    root.rename(inside)
    done = CliRunner().invoke(cli, ["lineage", str(inside / "Push" / "77")])
    assert "no artifact is recorded for" in str(done.exception)


def test_lineage_as_a_tree(root: Path) -> None:
    text = tunesmith("lineage", root / "Push" / "3")
    first, *rest = text.splitlines()
    assert first == "PushedModel Push/3"
    # Push reads the examples twice: by itself, and through the model.
    assert sum("Read execution 1" in line for line in rest) == 1
    assert sum("execution 1, above" in line for line in rest) == 1
    assert any(line.split()[-2:] == ["sizes.units", "8"] for line in rest)
    assert any(line.split()[-2:] == ["title", "[bold]a"] for line in rest)
    assert "03.mid" in text
    assert "3 more files (--json lists them all)" in text


def test_lineage_of_what_is_gone_says_so(root: Path) -> None:
    shutil.rmtree(root / "Learn" / "2")
    text = tunesmith("lineage", root / "Push" / "3")
    assert "TrainedModel Learn/2 (no longer there)" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("lineage", "{root}/Push/77"), "no artifact is recorded for"),
        (("lineage", "77", "--root", "{root}"), "there is no execution 77 in"),
        (("lineage", "{root}/../songs/00.mid"), "is not inside the root folder of a pipeline"),
        (
            ("runs", "--root", "{root}/Push"),
            f"is not the root folder of a pipeline: it has no {STORE_NAME}",
        ),
        (("runs", "--root", "{root}", "--compare", "1", "9"), "there is no run 9 in"),
    ],
)
def test_what_is_not_recorded_is_told_in_one_line(
    root: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = CliRunner().invoke(cli, [each.format(root=root) for each in arguments])
    assert words in str(done.exception)
    assert "\n" not in str(done.exception)


def test_none_needs_tensorflow_beam_or_numpy(root: Path) -> None:
    program = (
        "import sys\n"
        "from tunesmith.cli.main import cli\n"
        "cli(sys.argv[1:], standalone_mode=False)\n"
        "print([m for m in ('tensorflow', 'apache_beam', 'numpy') if m in sys.modules])"
    )
    for arguments in (
        ["runs", "--root", root],
        ["runs", "--root", root, "--compare", "1", "2"],
        ["lineage", root / "Push" / "3"],
        ["versions", "--model-dir", root / "Push"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1] == "[]"
