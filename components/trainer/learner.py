"""The network in training: training steps, validation, and its complete state as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.networks.network import EveryPosition, Network
from tunesmith.components.records.window_sample import WindowSample
from tunesmith.components.records.windows import Cut, Shuffle, Targets, Windows
from tunesmith.components.trainer.distribution import distribute
from tunesmith.components.trainer.other_keys import in_other_keys, noised

if TYPE_CHECKING:
    import tensorflow as tf

    from tunesmith.components.trainer.component import Precision

_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


@dataclass(frozen=True)
class Lesson:
    """A phase of the training with the same trainable weights and kind of targets.

    Args:
        name: in progress and history.
        batch: windows in a step.
        every_position: predictor at each position; None to predict only the token after the window.
        weights: the trainable variables; None for all.
    """

    name: str
    batch: int
    every_position: EveryPosition | None
    weights: list[Any] | None

    @property
    def targets(self) -> Targets:
        """The tokens to predict."""
        return "last" if self.every_position is None else "every"


class Learner:
    """A network and its optimizer, Nadam (Dozat 2016), as in the paper's program.

    :attr:`lessons` are the phases of the training: the warm start, if the network has one and it is
    enabled, and the training of the whole network.

    Args:
        network: the network to build and train.
        vocabulary_size: V, tokens known.
        sizes: of the network.
        strategy: the devices.
        seed: of the weights and the dropout.
        batch: windows in a step.
        warm_batch: windows in a step of the warm start; None for no warm start.
        eval_batch: batch size of the validation.
        clip_norm: the gradients' global norm is cut down to this (Pascanu, Mikolov and Bengio
            2013); None leaves it.
        weight_decay: share of a weight, but for biases, that a step takes away, times the learning
            rate (Loshchilov and Hutter 2019).
        noise: share of the tokens in a window that are drawn anew; see
            :func:`tunesmith.components.trainer.other_keys.noised`.
        keys: tokens in other keys, int32 [keys, V]; None to learn the songs in their own.
        precision: ``bfloat16`` is Keras's policy mixed_bfloat16: products in bfloat16, weights,
            softmax and loss in float32.
    """

    def __init__(
        self,
        network: Network,
        vocabulary_size: int,
        sizes: Any,
        strategy: tf.distribute.Strategy,
        *,
        seed: int,
        batch: int,
        eval_batch: int,
        warm_batch: int | None = None,
        clip_norm: float | None = None,
        weight_decay: float = 0.0,
        noise: float = 0.0,
        keys: NDArray[np.int32] | None = None,
        precision: Precision = "float32",
    ) -> None:
        import keras
        import tensorflow as tf

        self._strategy = strategy
        self._clip_norm = clip_norm
        self._noise = noise
        self._keys = keys
        self._seed = seed
        self.eval_batch = eval_batch
        keras.utils.set_random_seed(seed)
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(_POLICIES[precision])
        try:
            with strategy.scope():
                self.model = network.build(vocabulary_size, sizes)
                self._optimizer = keras.optimizers.Nadam(weight_decay=weight_decay or None)
                self._optimizer.exclude_from_weight_decay(var_names=["bias"])
                self._optimizer.build(self.model.trainable_variables)
                warm = None if warm_batch is None else network.warm_start(self.model)
        finally:
            keras.config.set_dtype_policy(before)
        self._fresh_optimizer = [variable.numpy() for variable in self._optimizer.variables]
        whole = Lesson("whole", batch, network.every_position(self.model), None)
        self.lessons = [whole]
        if warm is not None and warm_batch is not None:
            first = Lesson("warm start", warm_batch, warm.every_position, warm.weights)
            self.lessons = [first, whole]
        # Keras layers do without AutoGraph; converting the rest would double the tracing time.
        self.steps = [
            tf.function(partial(self._train, lesson), autograph=False) for lesson in self.lessons
        ]
        self._loss = keras.losses.sparse_categorical_crossentropy
        self.judge = tf.function(self._judge, autograph=False)

    def train(
        self,
        windows: tf.Tensor,
        targets: tf.Tensor,
        weight: tf.Tensor,
        count: tf.Tensor,
        lesson: int = -1,
    ) -> tf.Tensor:
        """Do one training step; returns the sum of the losses before it, in nats.

        With several targets in a window it is their mean loss times the number of windows.

        Args:
            windows: int32 [batch, window], or a part of it for each replica; so the others.
            targets: int32 [batch], or [batch, window] of a lesson that predicts at every position.
            weight: float32 like `targets`, see
                :meth:`tunesmith.components.records.windows.Windows.batches`.
            count: windows in the whole batch, float32.
            lesson: number of the lesson in :attr:`lessons`; the whole network's unless given.
        """
        return self.steps[lesson](windows, targets, weight, count)

    def begin(self) -> None:
        """Reset the optimizer's moments at the beginning of a lesson."""
        for variable, value in zip(self._optimizer.variables, self._fresh_optimizer, strict=True):
            variable.assign(value)

    def batches(
        self, windows: Windows, shuffle: Shuffle, first_step: int, lesson: int = -1
    ) -> tf.data.Dataset:
        """Return the arguments of :meth:`train`, from `first_step` to the end of the pass."""
        batch, targets = self.lessons[lesson].batch, self.lessons[lesson].targets
        return distribute(
            self._strategy,
            lambda: windows.batches(batch, shuffle, first_step, targets),
            batch,
        )

    def cut_loss(self, windows: Windows | WindowSample) -> float:
        """Return the mean loss over all `windows`, in nats, without dropout."""
        batches = distribute(
            self._strategy, lambda: windows.batches(self.eval_batch), self.eval_batch
        )
        sums = [self.judge(*batch) for batch in batches]
        return float(np.sum([float(each) for each in sums]) / len(windows))

    def set_learning_rate(self, rate: float) -> None:
        """Set the learning rate of the next steps."""
        self._optimizer.learning_rate.assign(rate)

    def weights(self) -> list[NDArray[Any]]:
        """Return the weights of the model."""
        return [np.array(weight.numpy()) for weight in self.model.weights]

    def set_weights(self, weights: list[NDArray[Any]]) -> None:
        """Set the weights that :meth:`weights` returned."""
        for variable, value in zip(self.model.weights, weights, strict=True):
            variable.assign(value)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return every variable: weights, the dropout's seeds, the optimizer's moments."""
        return {name: np.array(variable.numpy()) for name, variable in self._variables()}

    def set_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Set the variables that :meth:`arrays` returned.

        Raises:
            KeyError: `arrays` belong to another network.
        """
        for name, variable in self._variables():
            variable.assign(arrays[name])

    def _variables(self) -> list[tuple[str, Any]]:
        return [
            (f"{kind}/{number}", variable)
            for kind, owner in (("model", self.model), ("optimizer", self._optimizer))
            for number, variable in enumerate(owner.variables)
        ]

    def _train(
        self,
        lesson: Lesson,
        windows: tf.Tensor,
        targets: tf.Tensor,
        weight: tf.Tensor,
        count: tf.Tensor,
    ) -> tf.Tensor:
        """See :meth:`train`."""
        import tensorflow as tf

        weights = lesson.weights or self.model.trainable_weights

        def step(
            windows: tf.Tensor, targets: tf.Tensor, weight: tf.Tensor, count: tf.Tensor
        ) -> tf.Tensor:
            windows, targets, weight = self._varied(lesson, windows, targets, weight)
            with tf.GradientTape() as tape:
                total = tf.reduce_sum(self._losses(lesson, windows, targets) * weight)
                mean = total / count
            gradients = tape.gradient(mean, weights)
            self._optimizer.apply(self._clipped(gradients), weights)
            return tf.stack([total, tf.reduce_sum(weight)])

        total, weighed = tf.unstack(self._summed(step, windows, targets, weight, count))
        # Several targets of a window weigh 1 together, but less where it begins before its song.
        return total if lesson.targets == "last" else total / weighed * count

    def _varied(
        self, lesson: Lesson, windows: tf.Tensor, targets: tf.Tensor, weight: tf.Tensor
    ) -> Cut:
        """Return augmented windows, with keys and noise drawn for this step and replica."""
        import tensorflow as tf

        # The seed depends only on the step, so that a resumed training draws the same.
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        step = tf.cast(self._optimizer.iterations, tf.int64) * 2 + (lesson.weights is None)
        seed = tf.stack(
            [tf.constant(self._seed, tf.int64), step * 4096 + tf.cast(replica, tf.int64)]
        )
        if self._keys is not None:
            table = tf.constant(self._keys)
            windows, targets, weight = in_other_keys(windows, targets, weight, table, seed)
        if self._noise:
            windows = noised(windows, self._noise, seed + tf.constant([1, 0], tf.int64))
        return windows, targets, weight

    def _losses(self, lesson: Lesson, windows: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Return the loss of each target while training, float32 like `targets`."""
        import tensorflow as tf

        if lesson.every_position is None:
            return self._loss(targets, self.model(windows, training=True))
        logits = lesson.every_position(windows, training=True)
        return tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)

    def _judge(self, windows: tf.Tensor, targets: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        """Return the sum of the losses, without dropout."""
        import tensorflow as tf

        def step(windows: tf.Tensor, targets: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
            return tf.reduce_sum(self._loss(targets, self.model(windows, training=False)) * weight)

        return self._summed(step, windows, targets, weight)

    def _summed(self, step: Any, *arguments: tf.Tensor) -> tf.Tensor:
        totals = self._strategy.run(step, arguments)
        return self._strategy.reduce("SUM", totals, axis=None)

    def _clipped(self, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
        import tensorflow as tf

        if self._clip_norm is None:
            return gradients
        context = tf.distribute.get_replica_context()
        replicas = context.num_replicas_in_sync
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
        if replicas > 1:
            # The norm is that of the whole batch's gradient. The optimizer adds the replicas'
            # gradients up, which are equal now, so each gives its share.
            gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        clipped, _ = tf.clip_by_global_norm(gradients, self._clip_norm)
        return [gradient / replicas for gradient in clipped]
