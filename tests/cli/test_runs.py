"""``tunesmith runs`` and ``tunesmith lineage``: what they tell, and what of."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tunesmith.cli.main import cli
from tunesmith.components.artifacts import (
    Artifact,
    Examples,
    MidiFolder,
    PushedModel,
    TrainedModel,
)
from tunesmith.components.errors import GateClosed
from tunesmith.components.progress import Progress, SilentProgress
from tunesmith.components.pusher.executor import ORIGIN_FILE
from tunesmith.components.sources.midi_folder import list_midi_files
from tunesmith.pipeline.runner import Component, Runner, midi_folder
from tunesmith.pipeline.store import STORE_NAME

SONGS = 12


@dataclass(frozen=True)
class Songs:
    midi: MidiFolder


@dataclass(frozen=True)
class Learned:
    examples: Examples


@dataclass(frozen=True)
class Judged:
    examples: Examples
    model: TrainedModel


@dataclass(frozen=True)
class Widths:
    units: int = 128


@dataclass(frozen=True)
class Parameters:
    sizes: Widths = field(default_factory=Widths)
    title: str = "[bold]a"


def touch(_: Any, __: Any, output: Path, ___: Progress) -> None:
    (output / "done").touch()


def refuse(_: Any, __: Any, output: Path, ___: Progress) -> None:
    (output / "done").touch()
    raise GateClosed("worse than [repeating] the last frame")


def component(name: str, kind: type[Any], execute: Any = touch) -> Component[Any, Any, Any]:
    return Component(name, kind, execute, (), lambda root, number, _: root / name / str(number))


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
        with_told = {"midi_dir": songs}
        try:
            with Runner(root, SilentProgress(), command="run", told=with_told) as runner:
                midi = midi_folder(songs, list_midi_files(songs))
                examples = runner.run(component("Read", Examples), Songs(midi), Parameters())
                model = runner.run(
                    component("Learn", TrainedModel), Learned(examples), Parameters(Widths(8))
                )
                both = Judged(examples, model)
                if run == 2:
                    runner.run(component("Judge", Artifact, refuse), both, Parameters())
                runner.run(component("Push", PushedModel), both, Parameters())
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
    assert (second["outcome"], second["message"]) == (
        "refused",
        "worse than [repeating] the last frame",
    )
    assert [
        (step["execution"], step["component"], step["skipped"], step["artifact"], step["outcome"])
        for step in second["steps"]
    ] == [
        (1, "Read", True, "Read/1", "complete"),
        (2, "Learn", True, "Learn/2", "complete"),
        (4, "Judge", False, "Judge/4", "refused"),
    ]
    assert len(json.loads(tunesmith("runs", "--root", root, "--json", "--last", 1))) == 1


def test_runs_as_a_table(root: Path) -> None:
    text = tunesmith("runs", "--root", root)
    lines = [line.split() for line in text.splitlines() if line.strip()][2:]
    assert [line[:3] for line in lines] == [
        ["1", "run", "complete"],
        ["Read", "1", "complete"],
        ["Learn", "2", "complete"],
        ["Push", "3", "complete"],
        ["2", "run", "refused"],
        ["Read", "1", "skipped"],
        ["Learn", "2", "skipped"],
        ["Judge", "4", "refused"],
    ]
    assert "worse than [repeating] the last frame" in text


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
    assert "no artifact is recorded at" in str(done.exception)


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
    for path in (root / "Learn" / "2" / "done", root / "Learn" / "2"):
        path.unlink() if path.is_file() else path.rmdir()
    text = tunesmith("lineage", root / "Push" / "3")
    assert "TrainedModel Learn/2 (no longer there)" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("lineage", "{root}/Push/77"), "no artifact is recorded at"),
        (("lineage", "77", "--root", "{root}"), "there is no execution 77 in"),
        (("lineage", "{root}/../songs/00.mid"), "lies in no pipeline's root: name the --root"),
        (("runs", "--root", "{root}/Push"), f"holds no {STORE_NAME}: name the --root"),
    ],
)
def test_what_is_not_recorded_is_told_in_one_line(
    root: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = CliRunner().invoke(cli, [each.format(root=root) for each in arguments])
    assert words in str(done.exception)
    assert "\n" not in str(done.exception)


def test_neither_needs_tensorflow_beam_or_numpy(root: Path) -> None:
    program = (
        "import sys\n"
        "from tunesmith.cli.main import cli\n"
        "cli(sys.argv[1:], standalone_mode=False)\n"
        "print([m for m in ('tensorflow', 'apache_beam', 'numpy') if m in sys.modules])"
    )
    for arguments in (["runs", "--root", root], ["lineage", root / "Push" / "3"]):
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1] == "[]"
