"""``tunesmith versions`` and ``tunesmith rollback`` in a root and outside of one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from toy_components import Learning, Width

from tunesmith.cli.main import cli
from tunesmith.components.artifacts import ModelEvaluation, TrainedModel
from tunesmith.components.component import Component, ParameterSet, parameter
from tunesmith.components.errors import GateClosed
from tunesmith.components.progress import SilentProgress
from tunesmith.components.pusher.component import PUSHER, PusherInputs, PusherParameters
from tunesmith.pipeline.runner import Runner


@dataclass(frozen=True)
class Nothing:
    pass


@dataclass(frozen=True)
class OfModel:
    model: TrainedModel


@dataclass(frozen=True)
class Most(ParameterSet):
    most: float = parameter(9.0, "Nats at most.")


LEARN: Component[Any, Any, TrainedModel] = Component(
    "Learn", Nothing, Learning, TrainedModel, "toy_executors:learn"
)
JUDGE: Component[Any, Any, ModelEvaluation] = Component(
    "Judge", OfModel, Most, ModelEvaluation, "toy_executors:evaluate"
)


def learn_and_push(root: Path, units: int, name: str = "tunesmith", judged: bool = True) -> None:
    with Runner(root, SilentProgress(), command="run") as runner:
        model = runner.run(LEARN, Nothing(), Learning(Width(units)))
        blessings = (runner.run(JUDGE, OfModel(model), Most()),) if judged else ()
        runner.run(PUSHER, PusherInputs(model, blessings), PusherParameters(name))


def tunesmith(*arguments: object) -> str:
    done = CliRunner().invoke(cli, [str(each) for each in arguments])
    assert done.exit_code == 0, done.output
    return done.output


def versions(*arguments: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(tunesmith("versions", *arguments, "--json"))
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with two versions of a model, then a rollback, and a version nobody judged."""
    root = tmp_path / "root"
    learn_and_push(root, 8)
    learn_and_push(root, 16)
    tunesmith("rollback", "--model-dir", root / "models" / "tunesmith")
    learn_and_push(root, 4, judged=False)
    return root


def test_each_version_says_what_it_is_and_what_became_of_it(root: Path) -> None:
    told = versions("--root", root)
    names = ("version", "kind", "copy_of", "rolled_back_by", "run", "execution", "trained_by")
    assert [tuple(each[name] for name in names) for each in told] == [
        (1, "pushed", None, None, 1, 3, 1),
        (2, "pushed", None, 3, 2, 6, 4),
        (3, "rollback", 1, None, 3, 7, 1),
        (4, "pushed", None, None, 4, 9, 8),
    ]
    assert [each["is_served"] for each in told] == [False, False, False, True]
    assert [each["blessed"] for each in told] == [True, True, True, None]
    assert [each["nats"] for each in told] == [2.0, 0.75, 2.0, None]
    assert [[each["execution"] for each in version["findings"]] for version in told] == [
        [2],
        [5],
        [2],
        [],
    ]
    assert told[0]["model"] == told[2]["model"] != told[1]["model"]
    assert all(each["published"] > 0 for each in told)


def test_a_gate_that_refuses_later_takes_the_blessing(root: Path) -> None:
    runner = Runner(root, SilentProgress())
    model = runner.run(LEARN, Nothing(), Learning(Width(8)))
    with pytest.raises(GateClosed):
        runner.run(JUDGE, OfModel(model), Most(1.0))
    told = versions("--root", root)
    assert [each["blessed"] for each in told] == [False, True, False, None]
    (finding,) = told[0]["findings"]
    assert (finding["component"], finding["blessed"]) == ("Judge", False)
    assert "2.0 nats" in finding["message"]


def test_versions_as_a_table(root: Path) -> None:
    lines = [line.split() for line in tunesmith("versions", "--root", root).splitlines()]
    rows = [" ".join(line[:-3]) for line in lines if line and line[0] == "tunesmith"]
    assert rows == [
        "tunesmith 1 execution 1 yes: Judge 2 2.000 1",
        "tunesmith 2 rolled back by 3 execution 4 yes: Judge 5 0.750 2",
        "tunesmith 3 version 1 yes: Judge 2 2.000 3",
        "tunesmith 4 served execution 8 not checked 4",
    ]


def test_one_model_of_several_is_chosen_by_its_name(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn_and_push(root, 32, "other")
    (root / "models" / "empty").mkdir()
    monkeypatch.chdir(root)
    assert [each["model_name"] for each in versions()] == ["other"] + ["tunesmith"] * 4
    assert [each["version"] for each in versions("--model-name", "other")] == [1]
    done = CliRunner().invoke(cli, ["versions", "--model-name", "empty"])
    assert "has no version of a model named empty: publish one" in str(done.exception)


def test_a_folder_outside_of_a_root_tells_what_its_versions_say(root: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "srv"
    (root / "models" / "tunesmith").rename(elsewhere)
    (elsewhere / "9").mkdir()
    (elsewhere / "9" / "saved_model.pb").write_text("of another program")
    told = versions("--model-dir", elsewhere)
    assert [(each["version"], each["kind"], each["blessed"], each["run"]) for each in told] == [
        (1, "pushed", None, None),
        (2, "pushed", None, None),
        (3, "rollback", None, None),
        (4, "pushed", None, None),
        (9, "foreign", None, None),
    ]
    lines = tunesmith("versions", "--model-dir", elsewhere).splitlines()
    assert any("served" in line and "another program" in line for line in lines)


def test_the_folders_are_named_in_one_way_or_the_other(root: Path) -> None:
    arguments = ["versions", "--root", str(root), "--model-dir", str(root / "models")]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 2
    assert "give either --model-dir, or" in done.output
    done = CliRunner().invoke(cli, ["versions", "--model-dir", str(root)])
    assert "has no version of a model: give the base path" in str(done.exception)
    assert "\n" not in str(done.exception)


def test_a_push_by_hand_and_a_rollback_are_listed_among_the_runs(root: Path) -> None:
    runs = json.loads(tunesmith("runs", "--root", root, "--json"))
    assert [(run["command"], run["steps"][-1]["component"]) for run in runs] == [
        ("run", "Pusher"),
        ("run", "Pusher"),
        ("rollback", "Rollback"),
        ("run", "Pusher"),
    ]
    told = tunesmith("lineage", root / "models" / "tunesmith" / "3")
    assert [word for word in ("Rollback", "Pusher", "Learn", "Judge") if word in told] == [
        "Rollback",
        "Pusher",
        "Learn",
        "Judge",
    ]
