"""Trainer: learns the next token from its window and exports the epoch that holds out best."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.components.artifacts import SPLITS, Examples, Split
from tunesmith.components.errors import ComponentError
from tunesmith.components.networks.paper.keras_model import Architecture
from tunesmith.components.progress import Progress
from tunesmith.components.records.song_index import SongIndex
from tunesmith.components.records.tfrecord import read_songs
from tunesmith.components.records.windows import open_windows
from tunesmith.components.trainer.checkpoints import CheckpointFolder
from tunesmith.components.trainer.distribution import (
    STRATEGIES,
    StrategyName,
    common_position,
    open_strategy,
)
from tunesmith.components.trainer.export.saved_model import ServedSettings, export_model
from tunesmith.components.trainer.learner import PRECISIONS, Learner, Precision
from tunesmith.components.trainer.loss_curve import write_loss_curve
from tunesmith.components.trainer.schedule import Schedule
from tunesmith.components.trainer.training_log import NoLog, ScalarLog, TensorBoardLog
from tunesmith.components.trainer.training_loop import (
    STATE_FORMAT,
    Course,
    TrainingLoop,
    TrainingState,
)
from tunesmith.music import Vocabulary

if TYPE_CHECKING:
    import tensorflow as tf

EVAL_BATCH = 256
"""Held-out windows judged at a time."""

MEBIBYTE = 2**20


@dataclass(frozen=True)
class TrainerParameters:
    """What Trainer is told; the defaults are the paper's where the paper has one.

    Args:
        architecture: sizes of the network.
        epochs: passes over the training windows at most.
        batch: windows in a step, of all devices together.
        learning_rate: of Nadam, at its highest; Keras's default, which the paper's program takes.
        schedule: how the learning rate moves.
        clip_norm: the gradients' global norm at most; None for no bound.
        patience: epochs without a better held-out loss before training stops.
        maximum_seconds: training stops at the end of the step in which this much time has passed;
            None for no bound.
        seed: of the weights, the dropout and the shuffle.
        precision: of the products; weights and loss are float32 in any case.
        strategy: see :func:`tunesmith.components.trainer.distribution.open_strategy`.
        memory_mebibytes: that the windows may take. A corpus that needs more is read in blocks,
            which are shuffled in two levels (see
            :class:`tunesmith.components.records.windows.WindowStream`).
        settings: what the served model answers about itself.
    """

    architecture: Architecture = field(default_factory=Architecture)
    epochs: int = 50
    batch: int = 64
    learning_rate: float = 0.001
    schedule: Schedule = field(default_factory=Schedule)
    clip_norm: float | None = None
    patience: int = 5
    maximum_seconds: float | None = None
    seed: int = 0
    precision: Precision = "float32"
    strategy: StrategyName = "none"
    memory_mebibytes: float = 1024
    settings: ServedSettings = field(default_factory=ServedSettings)

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "patience"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.seed < 0:
            raise ValueError(f"the seed must be at least 0, not {self.seed}")
        for name in ("learning_rate", "clip_norm", "memory_mebibytes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"the {name.replace('_', ' ')} must be above 0, not {value}")
        for name, known in (("precision", PRECISIONS), ("strategy", STRATEGIES)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}")
        if self.strategy == "multi-worker" and self.maximum_seconds is not None:
            raise ValueError("workers must be stopped by epochs: their clocks do not agree")


@dataclass(frozen=True)
class Upkeep:
    """What a training leaves beside its result; it changes nothing in the result.

    Args:
        checkpoints: the folder of this training's checkpoints; None for no checkpoints.
        checkpoint_steps: steps between two checkpoints; None to go by time alone.
        checkpoint_seconds: between two checkpoints, besides the one after each epoch; None to go
            by steps alone. Workers of one training go by steps alone.
        tensorboard: the folder under which the training logs for TensorBoard; None for no log.
    """

    checkpoints: Path | None = None
    checkpoint_steps: int | None = None
    checkpoint_seconds: float | None = 60.0
    tensorboard: Path | None = None

    def __post_init__(self) -> None:
        for name in ("checkpoint_steps", "checkpoint_seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name.replace('_', ' ')} must be above 0, not {value}")


def train(
    examples: Examples,
    output: Path,
    parameters: TrainerParameters,
    progress: Progress,
    upkeep: Upkeep | None = None,
) -> None:
    """Write a :class:`~tunesmith.components.artifacts.TrainedModel` into the folder `output`.

    The loss is the sparse categorical cross-entropy in nats per window, the optimizer Nadam
    (Dozat 2016), as in the paper's program. Killed and called again with the same examples,
    parameters and checkpoint folder, it goes on from the last checkpoint and comes to the result
    that it would have come to.

    Raises:
        ComponentError: the examples have no windows, the loss is no longer a number, or the
            checkpoints belong to another training.
    """
    upkeep = upkeep or Upkeep()
    strategy = open_strategy(parameters.strategy, parameters.batch)
    vocabulary = examples.vocabulary()
    indices = {split: SongIndex.of(examples.shards(split)) for split in SPLITS}
    for split, index in indices.items():
        if not index.tokens:
            raise ComponentError(f"the {split} split has no windows: give more songs")
    windows = {
        split: open_windows(
            index, parameters.architecture.window, int(parameters.memory_mebibytes * MEBIBYTE)
        )
        for split, index in indices.items()
    }
    learner = Learner(
        len(vocabulary),
        parameters.architecture,
        strategy,
        seed=parameters.seed,
        batch=parameters.batch,
        eval_batch=_eval_batch(len(windows["eval"]), strategy.num_replicas_in_sync),
        clip_norm=parameters.clip_norm,
        precision=parameters.precision,
    )
    fingerprint = _fingerprint(parameters, vocabulary, indices)
    with _checkpoints(upkeep, fingerprint) as checkpoints:
        loop = TrainingLoop(
            learner,
            windows["train"],
            windows["eval"],
            _course(parameters, upkeep),
            checkpoints,
            _log(upkeep, fingerprint),
            _resume(checkpoints, learner, strategy, progress),
        )
        loop.run(progress)
    export_model(
        learner.model,
        parameters.architecture,
        vocabulary,
        parameters.settings,
        output / "saved_model",
        (song.tokens for song in read_songs(examples.shards("train"))),
    )
    state = loop.state
    history = {
        "parameters": asdict(parameters),
        "model_parameters": learner.model.count_params(),
        "vocabulary_size": len(vocabulary),
        "windows": {split: len(each) for split, each in windows.items()},
        "epochs": state.epochs,
        "best_epoch": state.best_epoch,
    }
    (output / "history.json").write_text(json.dumps(history, indent=2), encoding="utf-8")
    write_loss_curve(output / "loss.png", state.epochs, state.best_epoch, parameters.batch)


def _eval_batch(windows: int, replicas: int) -> int:
    """Return a batch that all replicas can share, with little filling where windows are few."""
    return math.ceil(min(EVAL_BATCH, windows) / replicas) * replicas


def _fingerprint(
    parameters: TrainerParameters, vocabulary: Vocabulary, indices: dict[Split, SongIndex]
) -> str:
    """Return what names a training by all that its result depends on, but for the code."""
    parts = [
        STATE_FORMAT,
        asdict(parameters),
        vocabulary.to_json(),
        *(indices[split].digest for split in SPLITS),
    ]
    text = json.dumps(parts, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _course(parameters: TrainerParameters, upkeep: Upkeep) -> Course:
    alone = parameters.strategy != "multi-worker"
    return Course(
        parameters.epochs,
        parameters.patience,
        parameters.learning_rate,
        parameters.schedule,
        parameters.seed,
        parameters.maximum_seconds,
        upkeep.checkpoint_steps,
        # Workers save at the same steps, or there is none that all can go on from.
        upkeep.checkpoint_seconds if alone else None,
    )


@contextmanager
def _checkpoints(upkeep: Upkeep, fingerprint: str) -> Iterator[CheckpointFolder | None]:
    if upkeep.checkpoints is None:
        yield None
        return
    folder = CheckpointFolder(upkeep.checkpoints, fingerprint)
    with folder.locked():
        yield folder


def _log(upkeep: Upkeep, fingerprint: str) -> ScalarLog:
    if upkeep.tensorboard is None:
        return NoLog()
    return TensorBoardLog(upkeep.tensorboard / fingerprint[:12])


def _resume(
    checkpoints: CheckpointFolder | None,
    learner: Learner,
    strategy: tf.distribute.Strategy,
    progress: Progress,
) -> TrainingState:
    """Return the state to start from: the last checkpoint's, or the beginning."""
    if checkpoints is None:
        return TrainingState()
    found = checkpoints.latest(progress)
    mine = (0, 0) if found is None else (found.epoch, found.step)
    agreed = common_position(strategy, *mine)
    if agreed == (0, 0):
        return TrainingState()
    if agreed != mine:
        # A worker that was killed before the others has no newer one.
        found = checkpoints.at(*agreed)
    assert found is not None
    progress.say(f"training goes on from epoch {found.epoch + 1}, step {found.step}")
    return TrainingState.from_checkpoint(found, learner)
