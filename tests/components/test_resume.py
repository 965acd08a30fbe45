"""Training that is killed and goes on: the result is that of a training that was not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tunesmith.components.artifacts import Examples
from tunesmith.components.checkpoints import Checkpoint, CheckpointFolder
from tunesmith.components.errors import ComponentError
from tunesmith.components.model import Architecture
from tunesmith.components.progress import SilentProgress
from tunesmith.components.records import write_tokens
from tunesmith.components.schedule import Schedule
from tunesmith.components.trainer import TrainerParameters, Upkeep, train
from tunesmith.music import Vocabulary

# Everything that has a state: dropout, moments, a rate that moves, a shuffle in two levels.
PARAMETERS = TrainerParameters(
    Architecture(embedding=8, units=8, layers=1, dense=8, dropout=0.3, window=10),
    epochs=3,
    batch=8,
    learning_rate=0.01,
    schedule=Schedule("cosine", warmup_steps=10),
    clip_norm=0.5,
    seed=3,
    memory_mebibytes=2**-9,
)


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
    for epoch in history["epochs"]:
        assert epoch.pop("seconds") > 0
    reader = tf.train.load_checkpoint(str(folder / "saved_model" / "variables" / "variables"))
    names = [name for name in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in name]
    return history, {name: reader.get_tensor(name) for name in names}


def assert_same(first: Path, second: Path) -> None:
    (history, weights), (other_history, other_weights) = result(first), result(second)
    for epoch, other in zip(history.pop("epochs"), other_history.pop("epochs"), strict=True):
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
upkeep = t.Upkeep(checkpoints, checkpoint_steps=7)

def training(output, upkeep, prepare=lambda: None):
    child = os.fork()
    if child:
        return child
    try:
        prepare()
        Path(output).mkdir()
        t.train(songs, Path(output), t.PARAMETERS, t.SilentProgress(), upkeep)
    except BaseException as error:
        print(repr(error), flush=True)
        os._exit(1)
    os._exit(0)

def end(child):
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)

def killed_once_there_is(name, output):
    child = training(output, upkeep)
    while not (checkpoints / name).exists() and os.waitpid(child, os.WNOHANG)[0] == 0:
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    end(child)

def die_in_third_save():
    sync, left = publishing.sync_tree, [3]
    def dying(directory):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        sync(directory)
    publishing.sync_tree = dying

end(training(sys.argv[3], t.Upkeep()))
killed_once_there_is("000000-000000014", "a")
end(training("b", upkeep, die_in_third_save))
killed_once_there_is("000002-000000007", "c")
print(sorted(path.name for path in checkpoints.iterdir()))
end(training(sys.argv[4], upkeep))
"""


def test_a_training_killed_three_times_ends_as_one_that_was_not(
    songs: Examples, tmp_path: Path
) -> None:
    program = KILLING.format(folder=str(Path(__file__).parent))
    done = subprocess.run(
        [sys.executable, "-c", program, songs.path, "checkpoints", "through", "killed"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines[:4] == ["0", "-9", "-9", "-9"]
    assert "000002-000000007" in lines[4]
    assert lines[5:] == ["0"]
    assert_same(tmp_path / "through", tmp_path / "killed")


class Interrupted(Exception):
    pass


def save_and_interrupt_at(epoch: int, step: int) -> Any:
    """Return what saves as ever, but ends the training at (epoch, step)."""
    save = CheckpointFolder.save

    def saving(self: CheckpointFolder, checkpoint: Checkpoint) -> Path:
        path = save(self, checkpoint)
        if (checkpoint.epoch, checkpoint.step) == (epoch, step):
            raise Interrupted
        return path

    return saving


def test_a_training_goes_on_within_an_epoch_and_after_one(
    songs: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Here all windows are in memory, and patience ends the training.
    parameters = TrainerParameters(
        PARAMETERS.architecture, epochs=9, batch=64, learning_rate=0.3, patience=2
    )
    upkeep = Upkeep(tmp_path / "checkpoints", checkpoint_steps=2)
    for name in ("through", "on"):
        (tmp_path / name).mkdir()
    train(songs, tmp_path / "through", parameters, SilentProgress())
    for epoch, step in ((1, 2), (2, 0)):
        with monkeypatch.context() as patch:
            patch.setattr(CheckpointFolder, "save", save_and_interrupt_at(epoch, step))
            with pytest.raises(Interrupted):
                train(songs, tmp_path / "on", parameters, SilentProgress(), upkeep)
    progress = Lines()
    train(songs, tmp_path / "on", parameters, progress, upkeep)
    assert progress.lines == ["training goes on from epoch 3, step 0"]
    assert_same(tmp_path / "through", tmp_path / "on")


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
    assert "000000-000000006 cannot be read" in progress.lines[0]


def test_checkpoints_of_another_training_are_refused(tmp_path: Path) -> None:
    CheckpointFolder(tmp_path, "one").save(a_checkpoint(0, 5))
    with pytest.raises(ComponentError, match="other parameters or songs: name another folder"):
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
    parameters = TrainerParameters(PARAMETERS.architecture, batch=8, learning_rate=1e30)
    upkeep = Upkeep(tmp_path / "checkpoints", checkpoint_steps=1)
    with pytest.raises(
        ComponentError, match=r"epoch 1, step \d+: .*--clip-norm 1; the last"
    ) as told:
        train(songs, tmp_path, parameters, SilentProgress(), upkeep)
    kept = Path(str(told.value).rpartition(" ")[2])
    with np.load(kept / "arrays.npz") as arrays:
        assert all(np.isfinite(arrays[name]).all() for name in arrays)
