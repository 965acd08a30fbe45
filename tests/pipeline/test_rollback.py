"""A rollback is an execution of the root that the model lies in, and waits for nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tunesmith.components.artifacts import Examples, PushedModel, TrainedModel
from tunesmith.components.evaluator.component import EVALUATOR, EvaluatorInputs
from tunesmith.components.progress import SilentProgress
from tunesmith.components.pusher import versions
from tunesmith.components.pusher.component import PUSHER, PusherInputs, PusherParameters
from tunesmith.components.pusher.versions import NothingToRollBackTo, read_origin, versions_of
from tunesmith.music import Vocabulary
from tunesmith.pipeline.dag import PipelineConfig, served_model
from tunesmith.pipeline.history import Run, read_runs
from tunesmith.pipeline.lineage import read_lineage
from tunesmith.pipeline.planner import Planner
from tunesmith.pipeline.rollback import roll_back
from tunesmith.pipeline.runner import Runner
from tunesmith.pipeline.store import STORE_NAME, ExecutionStore


class Lines(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def model(root: Path, name: str) -> TrainedModel:
    """A model whose content is a name."""
    saved = root.parent / "trained" / name / "saved_model"
    saved.mkdir(parents=True, exist_ok=True)
    (saved / "saved_model.pb").write_text(name)
    return TrainedModel(saved.parent, f"digest of {name}")


def push(root: Path, name: str, keep: int = 5) -> PushedModel:
    runner = Runner(root, SilentProgress(), command="component Pusher")
    return runner.run(PUSHER, PusherInputs(model(root, name)), PusherParameters(keep=keep))


def rolled_back(root: Path, to: int | None = None) -> int:
    progress = Lines()
    version = roll_back(root / "models" / "tunesmith", to, progress)
    assert progress.lines == []
    return version


def commands(root: Path) -> list[tuple[str, str]]:
    return [(run.command, run.outcome) for run in read_runs(root)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root in which models a and b were pushed."""
    root = tmp_path / "root"
    for name in "ab":
        push(root, name)
    return root


def test_a_rollback_is_an_execution_of_a_run_of_its_own(root: Path) -> None:
    assert rolled_back(root) == 3
    run: Run = read_runs(root)[-1]
    assert (run.command, run.outcome) == ("rollback", "complete")
    assert run.parameters == {"model_dir": "models/tunesmith", "to": None}
    (step,) = run.steps
    assert (step.component, step.outcome, step.type) == ("Rollback", "complete", "PushedModel")
    assert (step.artifact, step.digest) == ("models/tunesmith/3", "digest of a")
    assert run.published() == ("models/tunesmith/3",)
    lineage = read_lineage(str(root / "models" / "tunesmith" / "3"))
    assert [each.component for each in lineage.executions] == ["Pusher", "Rollback"]
    assert lineage.executions[-1].inputs["model"].path == str(root / "models" / "tunesmith" / "1")
    assert lineage.executions[-1].libraries
    assert [Path(source.path).name for source in lineage.sources()] == ["a"]


def test_each_rollback_is_recorded_and_a_copy_of_a_copy_is_traced(root: Path) -> None:
    rolled_back(root)
    push(root, "c")
    assert rolled_back(root) == 5
    assert [run.published() for run in read_runs(root)] == [
        (f"models/tunesmith/{version}",) for version in range(1, 6)
    ]
    lineage = read_lineage(str(root / "models" / "tunesmith" / "5"))
    assert [each.component for each in lineage.executions] == ["Pusher", "Rollback", "Rollback"]


def test_a_run_that_works_in_the_root_delays_no_rollback(root: Path) -> None:
    with Runner(root, SilentProgress(), command="run") as runner:
        assert rolled_back(root) == 3
        inputs = PusherInputs(model(root, "c"))
        assert runner.run(PUSHER, inputs, PusherParameters()).version == 4
    assert commands(root)[2:] == [("run", "complete"), ("rollback", "complete")]


def test_a_candidate_is_compared_with_the_copy_that_is_served(root: Path, tmp_path: Path) -> None:
    rolled_back(root)
    candidate = model(root, "c")
    config = PipelineConfig(tmp_path, root)
    served = served_model(config, [candidate])
    assert served == PushedModel(root / "models" / "tunesmith" / "3", "digest of a")
    push(root, "c")
    assert served_model(config, [candidate]) == served


def test_a_run_done_again_after_a_rollback_finds_its_evaluation(root: Path, tmp_path: Path) -> None:
    config = PipelineConfig(tmp_path, root)
    planner = Planner(root, ExecutionStore(root))
    examples = Examples(tmp_path / "examples", "e")
    examples.path.mkdir()
    (examples.path / "vocabulary.json").write_text(Vocabulary(((), (60,)), 5.0).to_json())

    def fingerprint(name: str) -> str:
        candidate = model(root, name)
        inputs = EvaluatorInputs(candidate, examples, served_model(config, [candidate]))
        return planner.plan(EVALUATOR, inputs, EVALUATOR.parameters()).execution.fingerprint

    before = fingerprint("b")
    rolled_back(root)
    assert fingerprint("b") == before
    # A candidate after it meets a as well, though as version 3.
    first = fingerprint("c")
    push(root, "c")
    assert fingerprint("c") == first


def test_pushing_the_model_that_is_served_again_publishes_nothing(root: Path) -> None:
    rolled_back(root)
    assert push(root, "a").version == 1
    assert versions_of(root / "models" / "tunesmith") == [1, 2, 3]


def test_without_a_root_it_is_published_all_the_same(root: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "srv" / "tunesmith"
    elsewhere.parent.mkdir()
    (root / "models" / "tunesmith").rename(elsewhere)
    progress = Lines()
    assert roll_back(elsewhere, None, progress) == 3
    assert progress.lines == []
    assert read_origin(elsewhere / "3").copy_of == 1
    assert len(read_runs(root)) == 2


def test_a_store_that_cannot_be_used_does_not_stop_it(root: Path) -> None:
    (root / STORE_NAME).write_text("my thesis" * 100)
    progress = Lines()
    assert roll_back(root / "models" / "tunesmith", None, progress) == 3
    (line,) = progress.lines
    assert line.startswith("warning: the rollback is not recorded: the metadata store ")
    assert read_origin(root / "models" / "tunesmith" / "3").model == "digest of a"


def test_what_cannot_be_rolled_back_to_is_no_run(root: Path) -> None:
    with pytest.raises(NothingToRollBackTo, match="has no version 7 older than 2"):
        rolled_back(root, to=7)
    assert len(read_runs(root)) == 2


def test_a_failed_rollback_is_recorded_as_such(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(staging: Path, _: Path) -> None:
        raise OSError(28, os.strerror(28), str(staging))

    monkeypatch.setattr(versions, "publish", fail)
    with pytest.raises(OSError, match="No space left on device"):
        rolled_back(root)
    run = read_runs(root)[-1]
    assert (run.outcome, run.steps[0].outcome, run.published()) == ("failed", "failed", ())
    monkeypatch.undo()
    assert rolled_back(root) == 3


def test_another_publisher_may_take_the_number(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish = versions.publish

    def be_overtaken(staging: Path, final: Path) -> None:
        monkeypatch.undo()
        final.mkdir()
        (final / "saved_model.pb").write_text("of another program")
        publish(staging, final)

    monkeypatch.setattr(versions, "publish", be_overtaken)
    assert rolled_back(root) == 4
    assert read_runs(root)[-1].published() == ("models/tunesmith/4",)
    assert read_lineage("3", root).artifact is not None
    assert (root / "models" / "tunesmith" / "3" / "saved_model.pb").read_text().startswith("of an")


DYING = """
import os, signal, sys
from pathlib import Path
from tunesmith.components.progress import SilentProgress
from tunesmith.components.pusher import versions
from tunesmith.pipeline import rollback, store
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
exec(sys.argv[2])
rollback.roll_back(Path(sys.argv[1]), None, SilentProgress())
"""


@pytest.mark.parametrize(
    ("moment", "outcome", "published"),
    [
        ("versions.publish = die", "killed", 2),
        ("store.ExecutionStore.finish = die", "complete", 3),
        ("store.ExecutionStore.close_run = die", "complete", 3),
    ],
)
def test_a_kill_leaves_no_version_unrecorded(
    root: Path, moment: str, outcome: str, published: int
) -> None:
    command = [sys.executable, "-c", DYING, str(root / "models" / "tunesmith"), moment]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    # The next run finds out.
    with Runner(root, SilentProgress()):
        pass
    run = read_runs(root)[2]
    assert (run.command, run.outcome) == ("rollback", "killed")
    assert [step.outcome for step in run.steps] == [outcome]
    assert versions_of(root / "models" / "tunesmith")[-1] == published
    assert bool(run.published()) == (published == 3)


def test_a_number_taken_after_a_kill_is_not_ascribed_to_the_killed(root: Path) -> None:
    command = [sys.executable, "-c", DYING_PUSHER, str(root), str(Path(__file__).parent)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    # Pusher had recorded that it would publish version 3, which this is now.
    assert rolled_back(root) == 3
    assert push(root, "c").version == 4
    steps = {run.id: run.steps for run in read_runs(root)}
    assert [step.outcome for step in steps[3]] == ["killed"]
    assert [step.artifact for step in steps[4]] == ["models/tunesmith/3"]
    assert [step.artifact for step in steps[5]] == ["models/tunesmith/4"]


DYING_PUSHER = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import test_rollback as t
from tunesmith.components.pusher import versions
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
versions.publish = die
t.push(Path(sys.argv[1]), "c")
"""

RACING = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import test_rollback as t
root, work = Path(sys.argv[1]), sys.argv[3]
print("ready", flush=True)
sys.stdin.readline()
for number in range(8):
    print(t.push(root, f"{number}", 0).version if work == "push" else t.rolled_back(root, 1))
"""


def test_a_pusher_and_a_rollback_at_once_are_both_recorded_with_versions_of_their_own(
    root: Path,
) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RACING, str(root), str(Path(__file__).parent), work],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for work in ("push", "roll back")
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    published = {}
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process, work in zip(processes, ("component Pusher", "rollback"), strict=True):
        output, _ = process.communicate()
        assert process.returncode == 0
        published[work] = [f"models/tunesmith/{line}" for line in output.split()]
    numbers = sorted(int(path.split("/")[-1]) for each in published.values() for path in each)
    assert numbers == list(range(3, 19))
    recorded: dict[str, list[Any]] = {"component Pusher": [], "rollback": []}
    for run in read_runs(root)[2:]:
        assert run.outcome == "complete"
        recorded[run.command] += run.published()
    assert recorded == published
    for path in published["rollback"]:
        assert (root / path / "saved_model.pb").read_text() == "a"
