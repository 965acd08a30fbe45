"""Trainer: learns the next token from its window and exports the epoch that holds out best."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.components.artifacts import Examples
from tunesmith.components.errors import ComponentError
from tunesmith.components.export import ServedSettings, export_model
from tunesmith.components.model import Architecture, build_model
from tunesmith.components.progress import Progress, Task
from tunesmith.components.runtime import load_tensorflow
from tunesmith.components.windows import WindowTable, read_tokens

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class TrainerParameters:
    """What Trainer is told; the defaults are the paper's where the paper has one.

    Args:
        architecture: sizes of the network.
        epochs: passes over the training windows at most.
        batch: windows in a step.
        learning_rate: of Nadam; Keras's default, which the paper's program takes.
        patience: epochs without a better held-out loss before training stops.
        maximum_seconds: training stops at the end of the step in which this much time has passed;
            None for no bound.
        seed: of the weights, the dropout and the shuffle.
        settings: what the served model answers about itself.
    """

    architecture: Architecture = field(default_factory=Architecture)
    epochs: int = 50
    batch: int = 64
    learning_rate: float = 0.001
    patience: int = 5
    maximum_seconds: float | None = None
    seed: int = 0
    settings: ServedSettings = field(default_factory=ServedSettings)

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "patience"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise ValueError(f"the learning rate must be above 0, not {self.learning_rate}")


EVAL_BATCH = 256


def train(
    examples: Examples, output: Path, parameters: TrainerParameters, progress: Progress
) -> None:
    """Write a :class:`~tunesmith.components.artifacts.TrainedModel` into the folder `output`.

    The loss is the sparse categorical cross-entropy in nats per window, the optimizer Nadam
    (Dozat 2016), as in the paper's program.

    Raises:
        ComponentError: the examples have no windows, or the loss is no longer a number.
    """
    load_tensorflow()
    import keras

    keras.utils.set_random_seed(parameters.seed)
    vocabulary = examples.vocabulary()
    window = parameters.architecture.window
    tables = {
        split: WindowTable.from_songs(read_tokens(examples.shards(split)), window)
        for split in ("train", "eval")
    }
    for split, table in tables.items():
        if not len(table):
            raise ComponentError(f"the {split} split has no windows: give more songs")
    model = build_model(len(vocabulary), parameters.architecture)
    model.compile(
        optimizer=keras.optimizers.Nadam(parameters.learning_rate),
        loss="sparse_categorical_crossentropy",
        jit_compile=False,
    )
    steps = math.ceil(len(tables["train"]) / parameters.batch)
    with progress.task("training", total=parameters.epochs * steps) as task:
        follower = _follower(parameters, steps, task)
        model.fit(
            tables["train"].dataset(parameters.batch, shuffle_seed=parameters.seed),
            validation_data=tables["eval"].dataset(EVAL_BATCH),
            epochs=parameters.epochs,
            verbose=0,
            shuffle=False,  # The dataset shuffles itself.
            callbacks=[follower],
        )
    follower.restore_best()
    export_model(
        model, parameters.architecture, vocabulary, parameters.settings, output / "saved_model"
    )
    history = {
        "parameters": asdict(parameters),
        "model_parameters": model.count_params(),
        "vocabulary_size": len(vocabulary),
        "windows": {split: len(table) for split, table in tables.items()},
        "epochs": follower.epochs,
        "best_epoch": follower.best_epoch,
    }
    (output / "history.json").write_text(json.dumps(history, indent=2), encoding="utf-8")


def _follower(parameters: TrainerParameters, steps: int, task: Task) -> Any:
    """Return the Keras callback that reports, keeps the best weights and stops in time."""
    import keras

    total = parameters.epochs * steps

    class Follower(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.epochs: list[dict[str, float]] = []
            self.best_epoch = 0
            self._best_weights: list[Any] = []
            self._started = time.monotonic()
            self._epoch_started = self._started
            self._epoch = 0

        def on_epoch_begin(self, epoch: int, _logs: dict[str, float] | None = None) -> None:
            self._epoch = epoch
            self._epoch_started = time.monotonic()

        def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
            loss = (logs or {}).get("loss", math.nan)
            if not math.isfinite(loss):
                raise ComponentError(
                    f"the training loss became {loss} in epoch {self._epoch + 1}: "
                    "train again with a smaller --learning-rate"
                )
            elapsed = time.monotonic() - self._epoch_started
            rate = (batch + 1) * parameters.batch / max(elapsed, 1e-9)
            task.update(
                max(self._epoch * steps + batch + 1, self._share_of_time() * total),
                f"epoch {self._epoch + 1}/{parameters.epochs}, loss {loss:.3f}, "
                f"{rate:.0f} windows/s{self._held_out_note()}",
            )
            if self._out_of_time():
                self.model.stop_training = True

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            logs = logs or {}
            self.epochs.append(
                {
                    "epoch": epoch + 1,
                    "train_loss": float(logs["loss"]),
                    "eval_loss": float(logs["val_loss"]),
                    "seconds": time.monotonic() - self._epoch_started,
                }
            )
            best = min(self.epochs, key=lambda each: each["eval_loss"])
            if best is self.epochs[-1]:
                self.best_epoch = epoch + 1
                self._best_weights = self.model.get_weights()
            if epoch + 1 - self.best_epoch >= parameters.patience or self._out_of_time():
                self.model.stop_training = True

        def restore_best(self) -> None:
            self.model.set_weights(self._best_weights)

        def _held_out_note(self) -> str:
            return f", held out {self.epochs[-1]['eval_loss']:.3f}" if self.epochs else ""

        def _share_of_time(self) -> float:
            bound = parameters.maximum_seconds
            return 0.0 if bound is None else (time.monotonic() - self._started) / bound

        def _out_of_time(self) -> bool:
            return self._share_of_time() >= 1

    return Follower()
