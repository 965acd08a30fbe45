"""Training that is killed and goes on: the result is that of a training that was not."""

from __future__ import annotations

import itertools
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tunesmith.components.artifacts import Examples
from tunesmith.components.component import Context
from tunesmith.components.errors import ComponentError
from tunesmith.components.networks.paper.network import NETWORK
from tunesmith.components.networks.paper.sizes import PaperSizes
from tunesmith.components.progress import SilentProgress
from tunesmith.components.records.songs import write_tokens
from tunesmith.components.records.windows import Shuffle, WindowTable
from tunesmith.components.trainer.checkpoints import Checkpoint, CheckpointFolder
from tunesmith.components.trainer.component import (
    MixtureParameters,
    RegularisationParameters,
    ScheduleParameters,
    ServedSettings,
    StrategyName,
    TrainerInputs,
    TrainerParameters,
    WarmStartParameters,
)
from tunesmith.components.trainer.deadline import Deadline
from tunesmith.components.trainer.distribution import open_strategy
from tunesmith.components.trainer.executor import execute
from tunesmith.components.trainer.learner import Learner
from tunesmith.components.trainer.training_log import NoLog
from tunesmith.components.trainer.training_loop import TrainingLoop, TrainingPlan, TrainingState
from tunesmith.music import Vocabulary

# Everything that has a state: dropout, moments, a rate that moves, a shuffle in two levels. The
# first of the epochs is the warm start.
PARAMETERS = TrainerParameters(
    architecture=PaperSizes(embedding=8, units=8, layers=1, dense=8, dropout=0.3, window=10),
    epochs=3,
    batch=8,
    learning_rate=0.01,
    schedule=ScheduleParameters("cosine", warmup_steps=10),
    warm_start=WarmStartParameters(0.3, batch=8),
    regularisation=RegularisationParameters("all", noise=0.2),
    clip_norm=0.5,
    maximum_seconds=None,
    seed=3,
    memory_mebibytes=2**-9,
    mixture=MixtureParameters(mix="network"),
    settings=ServedSettings(sampling_seconds=0),
)


def on_devices(strategy: StrategyName) -> TrainerParameters:
    """Return parameters whose result does not depend on how a batch is cut up."""
    architecture = replace(PARAMETERS.architecture, dropout=0.0)
    plain = RegularisationParameters("none", noise=0)
    return replace(PARAMETERS, architecture=architecture, regularisation=plain, strategy=strategy)


def train(
    songs: Examples, output: Path, parameters: TrainerParameters, checkpoints: Path | None = None
) -> None:
    """Train into `output`, with checkpoints every seven steps where there is a folder for them."""
    every_seven = replace(parameters, checkpoint_steps=7)
    context = Context(output, output.parent, SilentProgress(), checkpoints=checkpoints)
    execute(TrainerInputs(songs), every_seven if checkpoints else parameters, context)


class Lines(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    folder = tmp_path_factory.mktemp("songs")
    random = np.random.default_rng(0)
    for split, count in (("train", 8), ("eval", 2)):
        with tf.io.TFRecordWriter(str(folder / f"{split}-00000-of-00001.tfrecord")) as writer:
            for number in range(count):
                tokens = random.integers(0, 7, 30).cumsum() % 7
                writer.write(write_tokens(f"{number}.mid".encode(), tokens, 5.0))
    frames = ((), *((60 + step,) for step in range(6)))
    (folder / "vocabulary.json").write_text(Vocabulary(frames, 5.0).to_json())
    return Examples(folder, "")


def result(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    """Return the history without its times, and the variables of the exported model."""
    history = json.loads((folder / "history.json").read_text())
    for times in (history, *history["epochs"]):
        assert times.pop("seconds") > 0
    reader = tf.train.load_checkpoint(str(folder / "saved_model" / "variables" / "variables"))
    names = [name for name in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in name]
    return history, {name: reader.get_tensor(name) for name in names}


def assert_same(first: Path, second: Path, but: str = "") -> None:
    """Compare two results; `but` names a parameter that differs."""
    (history, weights), (other_history, other_weights) = result(first), result(second)
    for each in (history, other_history):
        each["parameters"].pop(but, None)
    for epoch, other in zip(history.pop("epochs"), other_history.pop("epochs"), strict=True):
        assert epoch.pop("lesson") == other.pop("lesson")
        assert epoch == pytest.approx(other, rel=1e-5)
    assert history == other_history
    assert weights.keys() == other_weights.keys()
    assert len(weights) > 5
    for name, value in weights.items():
        np.testing.assert_allclose(value, other_weights[name], atol=1e-5, err_msg=name)


# TensorFlow is imported once and started in each fork, which saves its import.
KILLING = """
import os, signal, sys, time
from pathlib import Path
sys.path.insert(0, {folder!r})
import keras, tensorflow
import test_resume as t
from tunesmith.components import publishing

songs, checkpoints = t.Examples(Path(sys.argv[1]), ""), Path(sys.argv[2])

def training(output, checkpoints, prepare=lambda: None, parameters=t.PARAMETERS):
    child = os.fork()
    if child:
        return child
    try:
        prepare()
        Path(output).mkdir()
        t.train(songs, Path(output), parameters, checkpoints)
    except BaseException as error:
        print(repr(error), flush=True)
        os._exit(1)
    os._exit(0)

def end(child):
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)

def killed_once_there_is(name, output):
    child = training(output, checkpoints)
    while not (checkpoints / name).exists() and os.waitpid(child, os.WNOHANG)[0] == 0:
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    end(child)

def die_in_fifth_save():
    sync, left = publishing.sync_tree, [5]
    def dying(directory):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        sync(directory)
    publishing.sync_tree = dying

end(training("through", None))
killed_once_there_is("000000-000000014", "a")
end(training("b", checkpoints, die_in_fifth_save))
print(sorted(path.name for path in checkpoints.iterdir()))
end(training("killed", checkpoints))

child = os.fork()
if not child:
    cpu = tensorflow.config.list_physical_devices("CPU")[0]
    halves = [tensorflow.config.LogicalDeviceConfiguration()] * 2
    tensorflow.config.set_logical_device_configuration(cpu, halves)
    for strategy in ("none", "mirrored"):
        print(*t.losses_on(strategy), flush=True)
    os._exit(0)
end(child)
"""


@pytest.fixture(scope="module")
def runs(songs: Examples, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder of the results of all these trainings, and what was printed of them."""
    folder = tmp_path_factory.mktemp("runs")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            KILLING.format(folder=str(Path(__file__).parent)),
            songs.path,
            "checkpoints",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
        check=True,
    )
    return folder, done.stdout.splitlines()


def test_a_training_killed_in_a_step_and_in_a_save_ends_as_one_that_was_not(
    runs: tuple[Path, list[str]],
) -> None:
    folder, lines = runs
    assert lines[:3] == ["0", "-9", "-9"]
    # Killed within the second epoch, and while it wrote: what it wrote is not taken for whole.
    assert re.search(r"'\.000001-\d+\.partial-\S+', .*'000001-\d+'", lines[3])
    assert (lines[4], lines[7:]) == ("0", ["0"])
    assert_same(folder / "through", folder / "killed")


def test_two_devices_learn_what_one_learns(runs: tuple[Path, list[str]]) -> None:
    one, two = ([float(loss) for loss in line.split()] for line in runs[1][5:7])
    assert len(set(one)) == len(one) == 4
    assert two == pytest.approx(one, rel=1e-5)


def losses_on(strategy: StrategyName) -> list[float]:
    """Return the losses of three clipped steps, the last short, and of a judgement."""
    table = WindowTable.from_songs([np.arange(30, dtype=np.int32) % 7], 10, (0,))
    learner = Learner(
        NETWORK,
        7,
        replace(PARAMETERS.architecture, dropout=0.0),
        open_strategy(strategy, 8),
        seed=1,
        batch=8,
        eval_batch=12,
        clip_norm=0.01,
    )
    batches = list(learner.batches(table, Shuffle(1, 0), 1))
    counts = [tf.constant(count) for count in (8.0, 8.0, 6.0)]
    losses = [
        float(learner.train(*batch, count)) for batch, count in zip(batches, counts, strict=True)
    ]
    return [*losses, learner.cut_loss(table)]


WORKING = """
import sys
from pathlib import Path
sys.path.insert(0, {folder!r})
import test_resume as t

output = Path(sys.argv[2])
output.mkdir(exist_ok=True)
parameters = t.on_devices(sys.argv[4])
t.train(t.Examples(Path(sys.argv[1]), ""), output, parameters, Path(sys.argv[3]))
"""


@pytest.mark.long
def test_two_workers_learn_what_one_learns_and_go_on_after_a_kill(
    songs: Examples, tmp_path: Path
) -> None:
    program = WORKING.format(folder=str(Path(__file__).parent))

    def start(output: str, strategy: str, config: str = "") -> subprocess.Popen[bytes]:
        checkpoints = tmp_path / f"checkpoints-{output}"
        command = [sys.executable, "-c", program, songs.path, output, checkpoints, strategy]
        return subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "TF_CONFIG": config})

    def start_both() -> list[subprocess.Popen[bytes]]:
        ports = free_ports(2)
        cluster = {"worker": [f"localhost:{port}" for port in ports]}
        return [
            start(
                f"worker-{index}",
                "multi-worker",
                json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}),
            )
            for index in range(2)
        ]

    alone = start("alone", "none")
    workers = start_both()
    while not (tmp_path / "checkpoints-worker-0" / "000001-000000007").exists():
        assert [worker.poll() for worker in workers] == [None, None]
        time.sleep(0.01)
    for worker in workers:
        worker.kill()
        assert worker.wait() == -9
    workers = start_both()
    assert [each.wait() for each in (alone, *workers)] == [0, 0, 0]
    for index in range(2):
        assert_same(tmp_path / "alone", tmp_path / f"worker-{index}", but="strategy")


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("localhost", 0))
        return [each.getsockname()[1] for each in sockets]


class Interrupted(Exception):
    pass


TRAIN = WindowTable.from_songs([np.arange(70, dtype=np.int32) ** 2 % 7], 10, (0,))
HELD_OUT = WindowTable.from_songs([np.arange(30, dtype=np.int32) ** 3 % 7], 10, (0,))


@pytest.fixture(scope="module")
def learner() -> Learner:
    strategy = open_strategy("none", 16)
    sizes = replace(PARAMETERS.architecture, layers=2)
    return Learner(NETWORK, 7, sizes, strategy, seed=1, batch=16, eval_batch=16, warm_batch=16)


def test_a_loop_goes_on_within_an_epoch_and_after_one(learner: Learner, tmp_path: Path) -> None:
    # Here all windows are in memory, an epoch is half a pass, and patience ends the training.
    plan = TrainingPlan(
        9, 2, 0.1, ScheduleParameters("plateau", 0, plateau_patience=1), 5, 3, 0.5, 0.1, 2, None
    )
    start = learner.arrays()

    def run(state: TrainingState, checkpoints: CheckpointFolder | None) -> TrainingState:
        deadline = Deadline(None)
        loop = TrainingLoop(learner, TRAIN, HELD_OUT, plan, checkpoints, NoLog(), state, deadline)
        loop.run(SilentProgress())
        return loop.state

    class Interrupting(CheckpointFolder):
        def save(self, checkpoint: Checkpoint) -> Path:
            super().save(checkpoint)
            raise Interrupted

    through = run(TrainingState(), None)
    expected = learner.weights()
    assert (through.lesson, through.ended_by) == (1, "patience")
    assert 0 < through.first_epoch < len(through.epochs) < 9
    assert {each["windows"] for each in through.epochs} == {48, 22}
    # A run for each checkpoint, each with a learner that knows nothing of the one before.
    learner.set_arrays(start)
    state, runs = TrainingState(), 0
    folder = Interrupting(tmp_path, "one")
    while True:
        try:
            done = run(state, folder)
            break
        except Interrupted:
            runs += 1
        learner.set_arrays(start)
        found = folder.latest(SilentProgress())
        assert found is not None
        state = TrainingState.from_checkpoint(found, learner)
    assert runs == 2 * len(through.epochs)
    for one, other in zip(through.epochs, done.epochs, strict=True):
        assert one.pop("lesson") == other.pop("lesson")
        assert {**one, "seconds": 0} == pytest.approx({**other, "seconds": 0}, rel=1e-6)
    for weight, other in zip(expected, learner.weights(), strict=True):
        np.testing.assert_allclose(weight, other, atol=1e-6)


def test_the_time_is_that_of_all_runs_together(learner: Learner) -> None:
    constant = ScheduleParameters("constant", 0)
    plan = TrainingPlan(1, 1, 0.01, constant, 5, None, 0.5, 0.1, None, None)

    def steps_done(seconds_before: float) -> float:
        """Return the steps for which there is time; the clock moves each time it is read."""
        steps: list[float] = []

        class Recorder(SilentProgress):
            @contextmanager
            def task(self, title: str, total: float | None = None) -> Iterator[Any]:
                del title, total
                yield self

            def update(self, done: float, note: str = "") -> None:
                del done, note
                steps.append(loop.state.step)

        state = TrainingState(seconds=seconds_before)
        deadline = Deadline(60.0, itertools.count(step=0.25).__next__)
        loop = TrainingLoop(learner, TRAIN, HELD_OUT, plan, None, NoLog(), state, deadline)
        loop.run(Recorder())
        return max(steps)

    # Of sixty seconds some forty are for learning, and half of these for the warm start.
    assert steps_done(19.0) < steps_done(0.0) == 5


def a_checkpoint(epoch: int, step: int) -> Checkpoint:
    return Checkpoint(epoch, step, {"loss_sum": 1 / 3}, {"model/0": np.arange(3.0) + step})


def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "checkpoints", "one")
    assert folder.latest(SilentProgress()) is None
    folder.save(a_checkpoint(0, 5))
    found = folder.latest(SilentProgress())
    assert found is not None
    assert (found.epoch, found.step, found.state) == (0, 5, {"loss_sum": 1 / 3})
    np.testing.assert_array_equal(found.arrays["model/0"], np.arange(3.0) + 5)


def test_old_checkpoints_go(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, "one")
    for epoch, step in ((0, 90), (1, 0), (1, 30), (10, 0)):
        folder.save(a_checkpoint(epoch, step))
    assert [path.name for path in folder.folders()] == ["000001-000000030", "000010-000000000"]


def test_a_spoilt_checkpoint_is_told_and_the_one_before_taken(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, "one")
    folder.save(a_checkpoint(0, 5))
    spoilt = folder.save(a_checkpoint(0, 6)) / "arrays.npz"
    spoilt.write_bytes(spoilt.read_bytes()[:-40])
    progress = Lines()
    found = folder.latest(progress)
    assert found is not None
    assert found.step == 5
    assert "000000-000000006 is unreadable" in progress.lines[0]


def test_checkpoints_of_another_training_are_refused(tmp_path: Path) -> None:
    CheckpointFolder(tmp_path, "one").save(a_checkpoint(0, 5))
    with pytest.raises(ComponentError, match="other parameters or songs: use another folder"):
        CheckpointFolder(tmp_path, "two").latest(SilentProgress())


def test_two_trainings_do_not_share_a_folder(tmp_path: Path) -> None:
    left_behind = tmp_path / ".000000-000000005.partial-1"
    left_behind.mkdir()
    with CheckpointFolder(tmp_path, "one").locked():
        assert not left_behind.exists()
        with (
            pytest.raises(ComponentError, match="another process trains"),
            CheckpointFolder(tmp_path, "one").locked(),
        ):
            pass
    with CheckpointFolder(tmp_path, "one").locked():
        pass


def test_no_number_leaves_the_last_good_checkpoint(songs: Examples, tmp_path: Path) -> None:
    parameters = TrainerParameters(
        architecture=PARAMETERS.architecture,
        batch=8,
        learning_rate=1e30,
        warm_start=WarmStartParameters(0),
        schedule=ScheduleParameters("constant", 0),
        clip_norm=None,
        checkpoint_steps=1,
        mixture=PARAMETERS.mixture,
    )
    context = Context(tmp_path, tmp_path, SilentProgress(), checkpoints=tmp_path / "checkpoints")
    with pytest.raises(
        ComponentError, match=r"epoch 1, step \d+: .*trainer.clip_norm 1; the last"
    ) as told:
        execute(TrainerInputs(songs), parameters, context)
    kept = Path(str(told.value).rpartition(" ")[2])
    with np.load(kept / "arrays.npz") as arrays:
        assert all(np.isfinite(arrays[name]).all() for name in arrays)
