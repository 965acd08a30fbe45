"""``tunesmith component``: components alone, over songs and over what other runs left."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tunesmith.cli.main import cli
from tunesmith.music import write_midi
from tunesmith.pipeline.dag import BY_NAME
from tunesmith.pipeline.store import STORE_NAME


def tunesmith(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(each) for each in arguments])


def made(*arguments: object) -> Path:
    """Run a component and return the artifact that it prints."""
    done = tunesmith("component", *arguments)
    assert done.exit_code == 0, done.output
    return Path(done.stdout.strip())


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root in which ExampleGen, and Transform after it, were run by themselves."""
    folder = tmp_path_factory.mktemp("component")
    (folder / "midi").mkdir()
    for number in range(6):
        frames = [(50 + number + step % 12,) for step in range(30)]
        write_midi(frames, folder / "midi" / f"{number}.mid", 5.0)
    root = folder / "root"
    given = ("--input", folder / "midi", "--set", "eval_fraction=0.34", "--set", "track=all")
    assert made("ExampleGen", "--root", root, *given) == root / "ExampleGen" / "1"
    transform = made("Transform", "--root", root, "--input", "1")
    assert transform == root / "Transform" / "2"
    return root


def test_a_component_is_recorded_as_in_a_whole_run(root: Path) -> None:
    told = json.loads(tunesmith("lineage", root / "Transform" / "2", "--json").stdout)
    assert [each["component"] for each in told["executions"]] == ["ExampleGen", "Transform"]
    assert told["executions"][0]["parameters"]["eval_fraction"] == 0.34
    assert [file["path"] for file in told["sources"][0]["files"]] == [f"{n}.mid" for n in range(6)]
    runs = json.loads(tunesmith("runs", "--root", root, "--json", "--last", 100).stdout)
    assert [run["command"] for run in runs[:2]] == ["component ExampleGen", "component Transform"]


def test_the_same_is_skipped_and_another_parameter_executed(root: Path) -> None:
    again = ("Transform", "--root", root, "--input", root / "ExampleGen" / "1")
    done = tunesmith("component", *again, "--like", 2)
    assert "Transform: done before (execution 2), skipped" in done.stderr
    other = made(*again, "--like", 2, "--max-vocabulary", 5)
    assert len(json.loads((other / "vocabulary.json").read_text())["frames"]) == 6
    told = json.loads(tunesmith("lineage", other, "--json").stdout)
    assert told["executions"][-1]["parameters"]["maximum_frames"] == 5
    assert told["executions"][0]["id"] == 1


def test_artifacts_of_another_root_and_of_no_root(root: Path, tmp_path: Path) -> None:
    there = root / "ExampleGen" / "1"
    first = made("Transform", "--root", tmp_path, "--input", there)
    assert (first / "vocabulary.json").read_bytes() == (
        root / "Transform" / "2" / "vocabulary.json"
    ).read_bytes()
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in there.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    done = tunesmith("component", "Transform", "--root", tmp_path, "--input", copy)
    assert "is not a recorded artifact; inputs that can be given: sequences (Sequences)" in str(
        done.exception
    )
    named = f"sequences={copy}"
    # What it holds is what the other holds.
    assert made("Transform", "--root", tmp_path, "--input", named) == first
    assert made("Transform", "--root", tmp_path, "--input", named, "--min-count", 2) != first


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("Transform",), "input sequences is missing: give an artifact of type Sequences"),
        (
            ("Transform", "--input", "2"),
            "input 2 is of type Examples; inputs that can be given: sequences (Sequences)",
        ),
        (("Transform", "--input", "77"), "input 77 is not a recorded artifact"),
        (
            ("Transform", "--set", "width=1"),
            "width is not a parameter: The parameters are: transpose, ",
        ),
        (
            ("Transform", "--set", "maximum_frames=0"),
            "--set maximum_frames must be at least 1, not 0",
        ),
        (
            ("Transform", "--like", "1"),
            "execution 1 is an execution of ExampleGen, not of Transform",
        ),
        (("ExampleGen", "--input", "{root}/Transform"), "no MIDI files"),
        (("Transform", "--max-vocabulary", "0"), "--max-vocabulary must be at least 1, not 0"),
        (("Transform", "--set", "bound"), "'bound' is not NAME=VALUE, such as epochs=5"),
        (
            ("Transform", "--set", "minimum_count=2", "--min-count", "3"),
            "--set minimum_count and --min-count set the same parameter",
        ),
        (("Composer",), "unknown component Composer: choose one of ExampleGen"),
        (("Pusher", "--input", "2", "--", "x"), "options for Beam must follow --"),
    ],
)
def test_what_does_not_fit_is_told_and_nothing_recorded(
    root: Path, arguments: tuple[str, ...], words: str
) -> None:
    before = tunesmith("runs", "--root", root, "--json", "--last", 100).stdout
    name, *rest = [each.format(root=root) for each in arguments]
    done = tunesmith("component", name, "--root", root, *rest)
    assert words in str(done.exception) + done.output
    assert tunesmith("runs", "--root", root, "--json", "--last", 100).stdout == before


@pytest.mark.parametrize("name", BY_NAME)
def test_inputs_and_parameters_are_described(name: str) -> None:
    text = tunesmith("component", name, "--describe").stdout
    assert re.match(r"inputs:\n  \w+: [A-Z]\w+\n", text)
    assert re.search(r"parameters:\n  [\w.]+=\S+  \(--[\w-]+\)\n", text)


def test_options_may_stand_before_the_components_name(root: Path) -> None:
    done = tunesmith("component", "--root", root, "--input", "1", "Transform")
    assert done.exit_code == 0, done.output
    assert "Transform: done before (execution 2), skipped" in done.stderr


def test_options_come_before_the_environment_and_that_before_another_execution(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(
        "tunesmith.cli.component._run",
        lambda _, __, ___, parameters, *____: seen.append(parameters),
    )
    monkeypatch.setenv("TUNESMITH_COMPONENT_EXAMPLE_GEN_MIN_FRAMES", "20")
    monkeypatch.setenv("TUNESMITH_COMPONENT_EXAMPLE_GEN_EVAL_FRACTION", "0.2")
    ask = ("component", "ExampleGen", "--root", root, "--like", 1, "--min-frames", 30)
    assert tunesmith(*ask).exit_code == 0
    (found,) = seen
    assert (found.minimum_frames, found.eval_fraction, found.track) == (30, 0.2, "all")


def test_a_parameter_that_is_no_more_is_left_out_with_a_warning(root: Path, tmp_path: Path) -> None:
    old = tmp_path / "root"
    shutil.copytree(root, old)
    with closing(sqlite3.connect(old / STORE_NAME)) as store, store:
        ((text,),) = store.execute("SELECT parameters FROM executions WHERE id = 2").fetchall()
        parameters = {**json.loads(text), "track": "all", "grid": {"lowest": 0}}
        store.execute(
            "UPDATE executions SET parameters = ? WHERE id = 2", (json.dumps(parameters),)
        )
    done = tunesmith("component", "Transform", "--root", old, "--input", "1", "--like", 2)
    assert done.exit_code == 0, done.output
    words = "warning: ignored parameters of execution 2 that no longer exist: track, grid.lowest\n"
    assert words in done.stderr
