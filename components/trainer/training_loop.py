"""The loop over epochs and steps: what follows what, and how it is picked up after a kill."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.errors import ComponentError
from tunesmith.components.progress import Progress, Task
from tunesmith.components.records.window_sample import WindowSample
from tunesmith.components.records.windows import Shuffle, Windows
from tunesmith.components.trainer.checkpoints import Checkpoint, CheckpointFolder
from tunesmith.components.trainer.learner import Learner
from tunesmith.components.trainer.schedule import learning_rate
from tunesmith.components.trainer.training_log import ScalarLog

if TYPE_CHECKING:
    import tensorflow as tf

    from tunesmith.components.trainer.component import ScheduleParameters

LOOK_SECONDS = 0.5
"""Between two looks at the loss: each waits for the device, which otherwise runs ahead."""

STATE_FORMAT = 2
"""Counts the changes after which an older checkpoint cannot be gone on from."""


@dataclass(frozen=True)
class Course:
    """What a training follows; see
    :class:`tunesmith.components.trainer.component.TrainerParameters`.
    """

    epochs: int
    patience: int
    learning_rate: float
    schedule: ScheduleParameters
    seed: int
    maximum_seconds: float | None
    checkpoint_steps: int | None
    checkpoint_seconds: float | None


@dataclass
class TrainingState:
    """How far a training is, beside the learner's variables.

    Attributes:
        epoch: under way, from 0.
        step: steps of it that are done.
        loss_sum: of their windows, in nats.
        epoch_seconds: spent on them.
        seconds: spent on all epochs before.
        epochs: losses and more of each epoch done.
        stopped: the time was up.
        best_weights: of the epoch with the least loss on the songs set aside.
    """

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    epoch_seconds: float = 0.0
    seconds: float = 0.0
    epochs: list[dict[str, float]] = field(default_factory=list)
    stopped: bool = False
    best_weights: list[NDArray[Any]] = field(default_factory=list)

    @property
    def cut_losses(self) -> list[float]:
        """The loss on the songs set aside after each epoch done."""
        return [each["cut_loss"] for each in self.epochs]

    @property
    def best_epoch(self) -> int:
        """The epoch with the least loss on the songs set aside, from 1; the first of equal ones."""
        return 1 + int(np.argmin(self.cut_losses))

    def to_checkpoint(self, learner: Learner) -> Checkpoint:
        """Return this and `learner`'s variables."""
        elsewhere = ("epoch", "step", "best_weights")
        names = [each.name for each in fields(self) if each.name not in elsewhere]
        state = {name: getattr(self, name) for name in names}
        best = {f"best/{number}": weight for number, weight in enumerate(self.best_weights)}
        return Checkpoint(self.epoch, self.step, state, {**learner.arrays(), **best})

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, learner: Learner) -> TrainingState:
        """Return the state and put `learner`'s variables back."""
        learner.set_arrays(checkpoint.arrays)
        best = [name for name in checkpoint.arrays if name.startswith("best/")]
        return cls(
            checkpoint.epoch,
            checkpoint.step,
            **checkpoint.state,
            best_weights=[checkpoint.arrays[f"best/{number}"] for number in range(len(best))],
        )


class TrainingLoop:
    """Trains until epochs, patience or time are used up.

    Args:
        learner: what learns.
        train: the windows to learn from.
        judged: the windows to judge by.
        course: the rules.
        checkpoints: where the state is kept; None for nowhere.
        log: where scalars go.
        state: where to start.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        learner: Learner,
        train: Windows,
        judged: Windows | WindowSample,
        course: Course,
        checkpoints: CheckpointFolder | None,
        log: ScalarLog,
        state: TrainingState,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state = state
        self._learner = learner
        self._train = train
        self._judged = judged
        self._course = course
        self._checkpoints = checkpoints
        self._log = log
        self._clock = clock
        self._steps = math.ceil(len(train) / learner.batch)
        self._pending: list[tf.Tensor] = []
        self._mark = self._looked_at = self._saved_at = clock()
        self._last_rate = math.nan
        self._windows_per_second = 0.0

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to learn."""
        state = self.state
        done = len(state.epochs)
        patience_is_up = done and done - state.best_epoch >= self._course.patience
        return bool(state.stopped or done >= self._course.epochs or patience_is_up)

    def run(self, progress: Progress) -> None:
        """Train to the end, and leave the best weights in the learner.

        Raises:
            ComponentError: a loss or a weight is no longer a finite number.
        """
        total = self._course.epochs * self._steps
        with progress.task("training", total=total) as task:
            self._show(task)
            while not self.finished:
                self._learn(task)
                self._close_epoch()
        self._learner.set_weights(self.state.best_weights)

    def _learn(self, task: Task) -> None:
        """Do what is left of the epoch under way, or as much as there is time for."""
        import tensorflow as tf

        state, batch = self.state, self._learner.batch
        full = tf.constant(float(batch))
        last = tf.constant(float(len(self._train) - (self._steps - 1) * batch))
        order = Shuffle(self._course.seed, state.epoch)
        self._mark = self._looked_at = self._clock()
        for windows, targets, weight in self._learner.batches(self._train, order, state.step):
            self._set_rate()
            count = last if state.step == self._steps - 1 else full
            self._pending.append(self._learner.train(windows, targets, weight, count))
            state.step += 1
            if self._clock() - self._looked_at >= LOOK_SECONDS:
                self._look()
                self._show(task)
            if self._checkpoint_is_due():
                self._save()
            if self._out_of_time():
                state.stopped = True
                break
        self._look()
        self._show(task)

    def _close_epoch(self) -> None:
        """Judge the epoch, record it, and keep its weights if they are the best."""
        state = self.state
        windows = min(state.step * self._learner.batch, len(self._train))
        cut_loss = self._learner.cut_loss(self._judged)
        if not math.isfinite(cut_loss):
            raise self._diverged("loss on the songs set aside", cut_loss, state.step)
        self._tick()
        record = {
            "epoch": state.epoch + 1,
            "train_loss": state.loss_sum / windows,
            "cut_loss": cut_loss,
            "seconds": state.epoch_seconds,
            "learning_rate": self._last_rate,
        }
        state.epochs.append(record)
        if state.best_epoch == len(state.epochs):
            state.best_weights = self._learner.weights()
        scalars = {name: value for name, value in record.items() if name != "epoch"}
        done = state.epoch * self._steps + state.step
        self._log.write(done, **{f"epoch/{name}": value for name, value in scalars.items()})
        state.stopped = state.stopped or self._out_of_time()
        state.seconds += state.epoch_seconds
        state.epoch, state.step, state.loss_sum, state.epoch_seconds = state.epoch + 1, 0, 0.0, 0.0
        self._save()

    def _set_rate(self) -> None:
        state, course = self.state, self._course
        rate = learning_rate(
            course.schedule,
            course.learning_rate,
            state.epoch * self._steps + state.step,
            course.epochs * self._steps,
            state.cut_losses,
        )
        if rate != self._last_rate:
            self._learner.set_learning_rate(rate)
            self._last_rate = rate

    def _look(self) -> None:
        """Wait for the steps under way, add up their losses, and stop if one is no number."""
        if not self._pending:
            return
        state = self.state
        sums = [float(each) for each in self._pending]
        self._pending.clear()
        first = state.step - len(sums)
        for step, loss in enumerate(sums, start=first + 1):
            if not math.isfinite(loss):
                raise self._diverged("training loss", loss, step)
        windows = min(state.step * self._learner.batch, len(self._train))
        windows -= first * self._learner.batch
        state.loss_sum += math.fsum(sums)
        seconds = self._tick()
        self._windows_per_second = windows / max(seconds, 1e-9)
        self._log.write(
            state.epoch * self._steps + state.step,
            **{
                "step/train_loss": math.fsum(sums) / windows,
                "step/windows_per_second": self._windows_per_second,
                "step/learning_rate": self._last_rate,
            },
        )

    def _tick(self) -> float:
        """Book the time since the last call to the epoch, and return it."""
        now = self._clock()
        passed, self._mark = now - self._mark, now
        self.state.epoch_seconds += passed
        self._looked_at = now
        return passed

    def _out_of_time(self) -> bool:
        return self._share_of_time() >= 1

    def _share_of_time(self) -> float:
        bound = self._course.maximum_seconds
        if bound is None:
            return 0.0
        state = self.state
        under_way = self._clock() - self._mark if self._pending else 0.0
        return (state.seconds + state.epoch_seconds + under_way) / bound

    def _checkpoint_is_due(self) -> bool:
        course = self._course
        if self._checkpoints is None:
            return False
        by_steps = course.checkpoint_steps and self.state.step % course.checkpoint_steps == 0
        late = course.checkpoint_seconds
        return bool(by_steps or (late is not None and self._clock() - self._saved_at >= late))

    def _save(self) -> None:
        if self._checkpoints is None:
            return
        self._look()
        checkpoint = self.state.to_checkpoint(self._learner)
        for array in checkpoint.arrays.values():
            if not np.isfinite(array).all():
                raise self._diverged("weights", math.nan, self.state.step)
        self._checkpoints.save(checkpoint)
        self._saved_at = self._clock()

    def _diverged(self, what: str, value: float, step: int) -> ComponentError:
        kept = self._checkpoints.folders() if self._checkpoints is not None else []
        last = f"; the last good checkpoint is {kept[-1]}" if kept else ""
        return ComponentError(
            f"the {what} became {value} in epoch {self.state.epoch + 1}, step {step}: train again "
            f"with a smaller --learning-rate, or with --clip-norm 1{last}"
        )

    def _show(self, task: Task) -> None:
        state = self.state
        windows = min(state.step * self._learner.batch, len(self._train))
        notes = [f"epoch {min(state.epoch + 1, self._course.epochs)}/{self._course.epochs}"]
        if windows:
            notes.append(f"loss {state.loss_sum / windows:.3f}")
        if state.epochs:
            notes.append(f"set aside {state.cut_losses[-1]:.3f}")
        if self._windows_per_second:
            notes.append(f"{self._windows_per_second:.0f} windows/s")
        total = self._course.epochs * self._steps
        done = state.epoch * self._steps + state.step
        task.update(max(done, self._share_of_time() * total), ", ".join(notes))
