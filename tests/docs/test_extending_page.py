"""docs/extending.md: its examples are the files beside it, and its commands run."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tunesmith.cli.main import REFUSED
from tunesmith.client.filter_plugins import load_filter
from tunesmith.client.formats.registry import load_format
from tunesmith.components.artifacts import Sequences, TrainedModel
from tunesmith.components.saved_predictor import SavedPredictor
from tunesmith.music import write_midi
from tunesmith.pipeline.lineage import read_lineage
from tunesmith.plugins import KINDS
from tunesmith.serving import Engine, load_engine
from tunesmith.serving.engines.engine import EngineOptions

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "extending.md").read_text("utf-8")
EXAMPLES = {
    "song_list_source.py",
    "lstm_network.py",
    "song_count_gate.py",
    "pitch_names_format.py",
    "repetition_penalty.py",
    "low_priority_engine.py",
}

Run = Callable[[str], "subprocess.CompletedProcess[str]"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def commands(word: str) -> list[str]:
    """The commands of the page that have a word."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [line for line in lines if word in line]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a command of the page in a folder with songs/ and examples/."""
    folder = tmp_path_factory.mktemp("extending")
    (folder / "examples").symlink_to(DOCS / "examples")
    (folder / "songs").mkdir()
    for number in range(12):
        scale = [(48 + number + step % 8,) for step in range(20 + number)]
        write_midi(scale, folder / "songs" / f"{number}.mid", 5.0)

    def call(line: str) -> subprocess.CompletedProcess[str]:
        if line.startswith("tunesmith "):
            words = shlex.split(line)[1:]
            program = [sys.executable, "-P", "-m", "tunesmith.cli.main", *words]
        else:
            program = ["sh", "-c", line]
        return subprocess.run(program, cwd=folder, capture_output=True, text=True, check=False)

    call.folder = folder  # type: ignore[attr-defined]
    return call


@pytest.fixture(scope="module")
def work(run: Run) -> Path:
    """The root of the run that trains the network of the page."""
    (command,) = commands("--network")
    done = run(command)
    assert done.returncode == 0, done.stderr
    root: Path = run.folder / "work"  # type: ignore[attr-defined]
    return root


def test_the_examples_are_the_files_beside_the_page() -> None:
    shown = set(blocks("python"))
    assert shown == {(DOCS / "examples" / name).read_text("utf-8") for name in EXAMPLES}


def test_every_kind_of_plug_in_has_a_section_and_an_option() -> None:
    assert {f"{each.lower()}s" for each in re.findall(r"^## (\w+)$", PAGE, re.M)} == set(KINDS)


def test_the_source_reads_what_its_list_names(run: Run) -> None:
    listing, preprocess = commands("list.txt")
    assert run(listing).returncode == 0
    done = run(preprocess)
    assert done.returncode == 0, done.stderr
    records: Path = run.folder / "records"  # type: ignore[attr-defined]
    songs = json.loads((records / "summary.json").read_text())["songs"]
    assert sum(songs.values()) == 12


def test_the_network_is_trained_exported_and_part_of_the_code(work: Path) -> None:
    (model,) = (work / "Trainer").iterdir()
    size = len(
        json.loads((model.parents[1] / "Transform" / "2" / "vocabulary.json").read_text())["frames"]
    )
    served = SavedPredictor.load(TrainedModel(model, "").saved_model)
    rows = served.probabilities(np.zeros((3, served.window), np.int32))
    assert rows.shape == (3, size)
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-3)
    lineage = read_lineage(str(model), work)
    trained = lineage.executions[-1]
    assert trained.parameters["network"] == "lstm_network:Lstm"
    assert trained.parameters["architecture"]["cells"] == 16
    (folder,) = (work / "ExampleGen").iterdir()
    source = Sequences(folder, "").source()
    assert source is not None
    assert source["name"] == "folder"


def test_another_line_of_the_network_trains_it_again(run: Run, work: Path, tmp_path: Path) -> None:
    changed = tmp_path / "lstm_network.py"
    text = (DOCS / "examples" / "lstm_network.py").read_text("utf-8")
    changed.write_text(text.replace("LSTM(sizes.cells)", "LSTM(sizes.cells, use_bias=False)"))
    (command,) = commands("--network")
    assert work.is_dir()
    same = run(f"{command} --dry-run")
    assert "Trainer: would not be executed: done before" in same.stdout
    again = run(
        f"{command} --dry-run".replace("--plugin-path examples", f"--plugin-path {tmp_path}")
    )
    assert "Trainer: would be executed: code of lstm_network changed" in again.stdout


def test_the_gate_is_executed_before_pusher_and_its_refusal_stops_it(run: Run, work: Path) -> None:
    dry_run, alone = commands("--gate")
    planned = run(dry_run)
    assert planned.returncode == 0, planned.stderr
    names = [line.partition(":")[0] for line in planned.stdout.splitlines()]
    assert names[-3:] == ["InfraValidator", "SongCount", "Pusher"]
    blessed = run(alone)
    assert blessed.returncode == 0, blessed.stderr
    refused = run(alone.replace("least=5", "least=1000"))
    assert refused.returncode == REFUSED
    assert "songs, at least 1000 are needed): give more songs" in refused.stderr
    (model,) = (work / "Trainer").iterdir()
    refusal = max((work / "SongCount").iterdir(), key=lambda each: int(each.name))
    gate = "--plugin-path examples --gate song_count_gate:GATE"
    push = f"tunesmith component Pusher {gate} --root work --input {model} --input {refusal}"
    pushed = run(push)
    assert pushed.returncode == REFUSED, pushed.stderr
    assert not (work / "models").exists()


def test_the_format_the_filter_and_the_engine_are_loaded_by_their_names(
    monkeypatch: pytest.MonkeyPatch, table_model: Path
) -> None:
    monkeypatch.setenv("TUNESMITH_PLUGIN_PATH", str(DOCS / "examples"))
    assert load_format("pitch_names_format:PitchNames").suffixes == (".txt",)
    rows = load_filter("repetition_penalty:Penalty=2")(np.array([[0.5, 0.5]]), np.array([[1]]))
    assert rows[0, 1] == 0.25
    engine = load_engine("low_priority_engine:LowPriority")
    assert isinstance(engine, Engine)
    assert engine.command(table_model, EngineOptions())[:2] == ["nice", "-n"]
