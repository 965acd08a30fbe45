"""A pipeline killed while it reads, encodes and learns ends as one that was not.

The components that make a model and push it; ``benchmarks/pipeline_kills.py`` kills whole runs.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from tunesmith.pipeline.history import read_runs

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "pipeline_kills.py"

SONGS = 4

PROGRAM = """
import sys
from pathlib import Path
from tunesmith.components.progress import SilentProgress
from tunesmith.pipeline.dag import BY_NAME
from tunesmith.pipeline.inputs import take_inputs
from tunesmith.components.parameter_values import parameters_from
from tunesmith.pipeline.runner import Runner

last, root = map(Path, sys.argv[1:])
small = {"embedding": 8, "units": 8, "layers": 1, "dense": 8}
parameters = {
    "ExampleGen": {"eval_fraction": 0.34},
    "Transform": {},
    "Trainer": {
        "epochs": 2,
        "architecture": small,
        "checkpoint_steps": 5,
        "settings": {"sampling_seconds": 0},
    },
    "Pusher": {},
}
with Runner(root, SilentProgress()) as runner:
    for name, told in parameters.items():
        component = BY_NAME[name]
        inputs = take_inputs(component.inputs, [str(last)], root)
        told = parameters_from(component.parameters, told)
        last = runner.run(component, inputs, told).path
"""

MOMENTS = (
    "ExampleGen/.*.partial-*",
    "Transform/.*.partial-*/vocabulary.json",
    "checkpoints/*/000000-0000000*",
)
"""The files in the root when a run is killed: records half-written, and a training under way."""


@pytest.fixture(scope="module")
def kills() -> ModuleType:
    """The benchmark, which knows how to compare."""
    spec = importlib.util.spec_from_file_location("pipeline_kills", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def start(midi: Path, root: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", PROGRAM, str(midi), str(root)]
    return subprocess.Popen(command, start_new_session=True)


@pytest.mark.long
def test_a_run_killed_three_times_comes_to_what_an_unkilled_one_comes_to(
    kills: ModuleType, jj_lin: Path, tmp_path: Path
) -> None:
    midi = tmp_path / "midi"
    midi.mkdir()
    for song in sorted(jj_lin.glob("*.mid"))[:SONGS]:
        shutil.copy(song, midi)
    root = tmp_path / "killed"
    for moment in MOMENTS:
        process = start(midi, root)
        deadline = time.monotonic() + 120
        while not list(root.glob(moment)):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    # The one that nobody kills learns beside the one that goes on.
    processes = [start(midi, each) for each in (tmp_path / "unkilled", root)]
    assert [process.wait() for process in processes] == [0, 0]
    runs = read_runs(root)
    assert [run.outcome for run in runs] == ["killed"] * 3 + ["complete"]
    assert [run.steps[-1].component for run in runs[:3]] == ["ExampleGen", "Transform", "Trainer"]
    expected = kills.result_of(tmp_path / "unkilled")
    assert expected["versions"] == ["models/tunesmith/1"]
    assert "Trainer/saved_model/variables/variables.data-00000-of-00001" in expected
    assert kills.differences(expected, kills.result_of(root)) == []
