"""The training loop over lessons, epochs and steps, which can be resumed from a checkpoint."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.errors import ComponentError
from tunesmith.components.progress import Progress, Task
from tunesmith.components.records.window_sample import WindowSample
from tunesmith.components.records.windows import Shuffle, Windows
from tunesmith.components.trainer.checkpoints import Checkpoint, CheckpointFolder
from tunesmith.components.trainer.deadline import Deadline
from tunesmith.components.trainer.learner import Learner
from tunesmith.components.trainer.passes import Passes
from tunesmith.components.trainer.schedule import learning_rate
from tunesmith.components.trainer.training_log import ScalarLog

if TYPE_CHECKING:
    import tensorflow as tf

    from tunesmith.components.trainer.component import ScheduleParameters

LOOK_SECONDS = 0.5
"""Time between two readings of the loss: each waits for the device, which otherwise runs ahead."""

PARENT = "parent"
"""Name of the first epoch of a fine-tuning: the validation of the parent, without training."""

STATE_FORMAT = 3
"""Format of the state in checkpoints; older formats cannot be resumed from."""

JUDGING_RATE = 3.0
"""Approximate ratio of validated to trained windows per second, used until it is measured
(benchmarks/train.py)."""


@dataclass(frozen=True)
class TrainingPlan:
    """The plan of a training: epochs, early stopping, schedule and checkpoints; see
    :class:`tunesmith.components.trainer.component.TrainerParameters`.
    """

    epochs: int
    patience: int
    learning_rate: float
    schedule: ScheduleParameters
    seed: int
    epoch_steps: int | None
    warm_share: float
    warm_learning_rate: float
    checkpoint_steps: int | None
    checkpoint_seconds: float | None


@dataclass
class TrainingState:
    """The state of a training, besides the learner's variables.

    Attributes:
        epoch: the current epoch, from 0.
        step: completed steps of the epoch.
        loss_sum: training loss summed over their windows, in nats.
        epoch_seconds: duration of these steps.
        seconds: duration of all runs together, until the state was saved.
        epochs: record of each completed epoch: losses and more.
        learning_rate: of the last step.
        lesson: number of the current lesson.
        first_epoch: first epoch of the lesson.
        first_share: used share of the training time when the lesson began.
        ended_by: reason of the end: ``time``, ``patience`` or ``epochs``; empty before.
        best_weights: of the epoch with the lowest validation loss.
    """

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    epoch_seconds: float = 0.0
    seconds: float = 0.0
    epochs: list[dict[str, Any]] = field(default_factory=list)
    learning_rate: float = 0.0
    lesson: int = 0
    first_epoch: int = 0
    first_share: float = 0.0
    ended_by: str = ""
    best_weights: list[NDArray[Any]] = field(default_factory=list)

    @property
    def cut_losses(self) -> list[float]:
        """The validation loss of each completed epoch."""
        return [each["cut_loss"] for each in self.epochs]

    @property
    def best_epoch(self) -> int:
        """The epoch with the lowest validation loss, from 1; the first of equal ones."""
        return 1 + int(np.argmin(self.cut_losses))

    def to_checkpoint(self, learner: Learner) -> Checkpoint:
        """Return this state and `learner`'s variables."""
        elsewhere = ("epoch", "step", "best_weights")
        names = [each.name for each in fields(self) if each.name not in elsewhere]
        state = {name: getattr(self, name) for name in names}
        best = {f"best/{number}": weight for number, weight in enumerate(self.best_weights)}
        return Checkpoint(self.epoch, self.step, state, {**learner.arrays(), **best})

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, learner: Learner) -> TrainingState:
        """Return the state, and restore `learner`'s variables."""
        learner.set_arrays(checkpoint.arrays)
        best = [name for name in checkpoint.arrays if name.startswith("best/")]
        return cls(
            checkpoint.epoch,
            checkpoint.step,
            **checkpoint.state,
            best_weights=[checkpoint.arrays[f"best/{number}"] for number in range(len(best))],
        )


_LOGGED = ("train_loss", "cut_loss", "seconds", "learning_rate")
"""Scalars of each epoch in TensorBoard."""


class TrainingLoop:
    """Trains until epochs, patience or time are used up.

    Args:
        learner: the network in training.
        train: the training windows.
        judged: the validation windows.
        plan: epochs, early stopping, schedule and checkpoints.
        checkpoints: folder of the checkpoints; None for no checkpoints.
        log: receives the scalars.
        state: the initial state.
        deadline: the time limit.
        learned: training windows for the evaluation of a parent model: the first epoch is its
            validation without training, with the loss on these windows as training loss. None to
            begin with training.
    """

    def __init__(
        self,
        learner: Learner,
        train: Windows,
        judged: Windows | WindowSample,
        plan: TrainingPlan,
        checkpoints: CheckpointFolder | None,
        log: ScalarLog,
        state: TrainingState,
        deadline: Deadline,
        learned: WindowSample | None = None,
    ) -> None:
        self.state = state
        self._learner = learner
        self._train = train
        self._judged = judged
        self._plan = plan
        self._checkpoints = checkpoints
        self._log = log
        self._learned = learned
        self._deadline = deadline
        deadline.before = state.seconds
        self._pending: list[tf.Tensor] = []
        self._mark = self._looked_at = self._saved_at = deadline.clock()
        self._last_rate = math.nan
        self._windows_per_second = 0.0
        self._judging = 0.0

    @property
    def finished(self) -> bool:
        """True if the training has ended."""
        return bool(self.state.ended_by)

    def run(self, progress: Progress) -> None:
        """Train to the end, and restore the best weights in the learner.

        Raises:
            ComponentError: a loss or a weight is not finite.
        """
        if not self._steps_done():
            # The schedule does not include the time for reading songs and building the network.
            self.state.first_share = self._share_of_time()
        with progress.task("training", total=1.0) as task:
            if self._learned is not None and not self.state.epochs:
                self._judge_the_start(self._learned)
            self._show(task)
            while not self.finished:
                self._learn(task)
                self._close_epoch()
                self._show(task)
        self._learner.set_weights(self.state.best_weights)

    @property
    def _passes(self) -> Passes:
        batch = self._learner.lessons[self.state.lesson].batch
        return Passes(len(self._train), batch, self._plan.epoch_steps)

    @property
    def _is_last_lesson(self) -> bool:
        return self.state.lesson == len(self._learner.lessons) - 1

    def _lesson_epochs(self) -> int:
        """Return the maximum number of epochs of the current lesson."""
        left = self._plan.epochs - self.state.first_epoch
        if self._is_last_lesson:
            return left
        return min(left, max(1, round(self._plan.warm_share * left)))

    def _lesson_end(self) -> float:
        """Return the share of the training time at which the current lesson ends."""
        return 1.0 if self._is_last_lesson else self._plan.warm_share

    def _learn(self, task: Task) -> None:
        """Do the remaining steps of the current epoch, or as many as there is time for."""
        import tensorflow as tf

        state, passes = self.state, self._passes
        number, first, last = passes.place(state.epoch - state.first_epoch)
        order = Shuffle(self._plan.seed, number)
        self._mark = self._looked_at = self._deadline.clock()
        batches = self._learner.batches(self._train, order, first + state.step, state.lesson)
        for windows, targets, weight in itertools.islice(batches, last - first - state.step):
            self._set_rate()
            place = first + state.step
            count = tf.constant(float(passes.windows_between(place, place + 1)))
            loss = self._learner.train(windows, targets, weight, count, state.lesson)
            self._pending.append(loss)
            state.step += 1
            if self._deadline.clock() - self._looked_at >= LOOK_SECONDS:
                self._look()
                self._show(task)
            if self._checkpoint_is_due():
                self._save()
            if self._share_of_time() >= self._lesson_end():
                break
        self._look()
        self._show(task)

    def _judge_the_start(self, learned: WindowSample) -> None:
        """Record the validation of the parent, before training, as the first epoch."""
        state = self.state
        before = self._deadline.clock()
        cut_loss = self._learner.cut_loss(self._judged)
        self._judging = self._deadline.clock() - before
        record = {
            "epoch": 1,
            "lesson": PARENT,
            "train_loss": self._learner.cut_loss(learned),
            "cut_loss": cut_loss,
            "windows": 0,
            "seconds": 0.0,
            "learning_rate": 0.0,
        }
        state.epochs.append(record)
        state.best_weights = self._learner.weights()
        state.epoch = state.first_epoch = 1
        state.first_share = self._share_of_time()

    def _close_epoch(self) -> None:
        """Validate and record the epoch, keep its weights if they are the best, and continue."""
        state = self.state
        _, first, _ = self._passes.place(state.epoch - state.first_epoch)
        windows = self._passes.windows_between(first, first + state.step)
        before = self._deadline.clock()
        cut_loss = self._learner.cut_loss(self._judged)
        self._judging = max(self._judging, self._deadline.clock() - before)
        if not math.isfinite(cut_loss):
            raise self._diverged("validation loss", cut_loss, state.step)
        record: dict[str, Any] = {
            "epoch": state.epoch + 1,
            "lesson": self._learner.lessons[state.lesson].name,
            "train_loss": state.loss_sum / windows,
            "cut_loss": cut_loss,
            "windows": windows,
            "seconds": state.epoch_seconds,
            "learning_rate": state.learning_rate,
        }
        scalars = {f"epoch/{name}": record[name] for name in _LOGGED}
        self._log.write(self._steps_done(), **scalars)
        state.epochs.append(record)
        if state.best_epoch == len(state.epochs):
            state.best_weights = self._learner.weights()
        state.epoch, state.step, state.loss_sum, state.epoch_seconds = state.epoch + 1, 0, 0.0, 0.0
        self._follow()
        self._save()

    def _follow(self) -> None:
        """Begin the next lesson, or end the training, if the current lesson has ended."""
        state = self.state
        losses = state.cut_losses[state.first_epoch :]
        ended_by = ""
        if self._share_of_time() >= self._lesson_end():
            ended_by = "time"
        elif len(losses) >= self._lesson_epochs():
            ended_by = "epochs"
        elif len(losses) - 1 - int(np.argmin(losses)) >= self._plan.patience:
            ended_by = "patience"
        if not ended_by:
            return
        used_up = state.epoch >= self._plan.epochs or self._share_of_time() >= 1
        if self._is_last_lesson or used_up:
            state.ended_by = ended_by
            return
        self._learner.set_weights(state.best_weights)
        self._learner.begin()
        state.lesson += 1
        state.first_epoch = state.epoch
        state.first_share = self._share_of_time()

    def _steps_done(self) -> int:
        """Return the steps of all lessons so far."""
        state = self.state
        before = sum(
            math.ceil(each["windows"] / lesson.batch)
            for each in state.epochs
            for lesson in self._learner.lessons
            if lesson.name == each["lesson"]
        )
        return before + state.step

    def _set_rate(self) -> None:
        state, plan, passes = self.state, self._plan, self._passes
        epoch = state.epoch - state.first_epoch
        peak = plan.learning_rate if self._is_last_lesson else plan.warm_learning_rate
        spent = self._share_of_time() - state.first_share
        rate = learning_rate(
            plan.schedule,
            peak,
            passes.steps_before(epoch) + state.step,
            passes.steps_before(self._lesson_epochs()),
            max(0.0, spent) / max(self._lesson_end() - state.first_share, 1e-9),
            state.cut_losses[state.first_epoch :],
        )
        if rate != self._last_rate:
            self._learner.set_learning_rate(rate)
            self._last_rate = state.learning_rate = rate

    def _look(self) -> None:
        """Wait for the pending steps, add their losses, and raise if one is not finite."""
        if not self._pending:
            return
        state = self.state
        sums = [float(each) for each in self._pending]
        self._pending.clear()
        first = state.step - len(sums)
        for step, loss in enumerate(sums, start=first + 1):
            if not math.isfinite(loss):
                raise self._diverged("training loss", loss, step)
        _, start, _ = self._passes.place(state.epoch - state.first_epoch)
        windows = self._passes.windows_between(start + first, start + state.step)
        state.loss_sum += math.fsum(sums)
        seconds = self._tick()
        self._windows_per_second = windows / max(seconds, 1e-9)
        self._log.write(
            self._steps_done(),
            **{
                "step/train_loss": math.fsum(sums) / windows,
                "step/windows_per_second": self._windows_per_second,
                "step/learning_rate": self._last_rate,
            },
        )

    def _tick(self) -> float:
        """Add the time since the last call to the epoch, and return it."""
        now = self._deadline.clock()
        passed, self._mark = now - self._mark, now
        self.state.epoch_seconds += passed
        self._looked_at = now
        return passed

    def _share_of_time(self) -> float:
        """Return the used share of the training time."""
        judging = self._judging
        if not judging and self._windows_per_second:
            judging = len(self._judged) / (JUDGING_RATE * self._windows_per_second)
        return self._deadline.share(judging)

    def _checkpoint_is_due(self) -> bool:
        plan = self._plan
        if self._checkpoints is None:
            return False
        by_steps = plan.checkpoint_steps and self.state.step % plan.checkpoint_steps == 0
        late = plan.checkpoint_seconds
        return bool(
            by_steps or (late is not None and self._deadline.clock() - self._saved_at >= late)
        )

    def _save(self) -> None:
        if self._checkpoints is None:
            return
        self._look()
        self.state.seconds = self._deadline.elapsed()
        checkpoint = self.state.to_checkpoint(self._learner)
        for array in checkpoint.arrays.values():
            if not np.isfinite(array).all():
                raise self._diverged("weights", math.nan, self.state.step)
        self._checkpoints.save(checkpoint)
        self._saved_at = self._deadline.clock()

    def _diverged(self, what: str, value: float, step: int) -> ComponentError:
        kept = self._checkpoints.folders() if self._checkpoints is not None else []
        last = f"; the last good checkpoint is {kept[-1]}" if kept else ""
        return ComponentError(
            f"the {what} became {value} in epoch {self.state.epoch + 1}, step {step}: train again "
            f"with a smaller trainer.learning_rate, or with trainer.clip_norm 1{last}"
        )

    def _show(self, task: Task) -> None:
        state, plan = self.state, self._plan
        passes, epoch = self._passes, state.epoch - state.first_epoch
        lesson = self._learner.lessons[state.lesson].name
        _, first, _ = passes.place(epoch)
        windows = passes.windows_between(first, first + state.step)
        notes = [f"epoch {min(state.epoch + 1, plan.epochs)}"]
        if lesson != "whole":
            notes.append(lesson)
        if windows:
            notes.append(f"loss {state.loss_sum / windows:.3f}")
        if state.epochs:
            notes.append(f"validation loss {state.cut_losses[-1]:.3f}")
            if state.best_epoch < len(state.epochs):
                notes.append(f"best {min(state.cut_losses):.3f}")
        if self._windows_per_second:
            notes.append(f"{self._windows_per_second:.0f} windows/s")
        task.update(self._share_done(), ", ".join(notes))

    def _share_done(self) -> float:
        """Return the completed share of the training, unless early stopping ends it."""
        state, passes = self.state, self._passes
        if state.ended_by:
            return 1.0
        epoch = state.epoch - state.first_epoch
        total = passes.steps_before(self._lesson_epochs())
        steps = (passes.steps_before(epoch) + state.step) / max(total, 1)
        start = self._lesson_start()
        return max(start + (self._lesson_end() - start) * min(steps, 1.0), self._share_of_time())

    def _lesson_start(self) -> float:
        return 0.0 if self.state.lesson == 0 else self._plan.warm_share
