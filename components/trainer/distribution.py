"""TensorFlow's synchronous distribution strategies: one device, several, or several workers.

A step is the same under each strategy: its batch is split into equal parts, one for each replica,
and the gradients are summed over all replicas before the update.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from tunesmith.components.errors import ComponentError
from tunesmith.components.runtime import load_tensorflow

if TYPE_CHECKING:
    import tensorflow as tf

    from tunesmith.components.trainer.component import StrategyName


def open_strategy(name: StrategyName, batch: int) -> tf.distribute.Strategy:
    """Return the strategy `name`.

    ``none`` is one device; ``mirrored`` every GPU of this machine, or every logical CPU where
    there is no GPU; ``multi-worker`` one replica for each device of each process that TF_CONFIG
    names (see TensorFlow's guide to MultiWorkerMirroredStrategy).

    Args:
        name: of the strategy.
        batch: global batch size.

    Raises:
        ComponentError: TF_CONFIG is not set, or the batch cannot be split into equal parts.
    """
    if name == "multi-worker":
        strategy = _join_workers()
        load_tensorflow()
    else:
        tf = load_tensorflow()
        if name == "none":
            return tf.distribute.get_strategy()
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
    if batch % strategy.num_replicas_in_sync:
        raise ComponentError(
            f"trainer.batch must be a multiple of {strategy.num_replicas_in_sync}, the number of "
            f"replicas, not {batch}"
        )
    return strategy


def _join_workers() -> tf.distribute.Strategy:
    """Return the strategy of this worker; must be called before TensorFlow's first operation."""
    if not os.environ.get("TF_CONFIG"):
        raise ComponentError(
            "the multi-worker strategy needs TF_CONFIG: set it to "
            '{"cluster": {"worker": ["HOST:PORT", …]}, "task": {"type": "worker", "index": N}} '
            "on each worker"
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (RuntimeError, ValueError) as error:
        raise ComponentError(
            f"the workers cannot be connected ({str(error).splitlines()[0]}): check TF_CONFIG, and "
            "train in a separate process"
        ) from error


def distribute(
    strategy: tf.distribute.Strategy, batches: Callable[[], tf.data.Dataset], batch: int
) -> tf.data.Dataset:
    """Return the batches of `batches`, each split into the parts of this process's replicas.

    Args:
        strategy: the strategy.
        batches: returns the dataset of global batches, each of `batch` elements.
        batch: global batch size.
    """

    def parts(context: tf.distribute.InputContext) -> tf.data.Dataset:
        whole = batches()
        if context.num_replicas_in_sync == 1:
            return whole
        rows = batch // context.num_input_pipelines
        first = context.input_pipeline_id * rows

        def mine(*columns: tf.Tensor) -> tuple[tf.Tensor, ...]:
            return tuple(column[first : first + rows] for column in columns)

        replica_rows = context.get_per_replica_batch_size(batch)
        return whole.map(mine).rebatch(replica_rows, drop_remainder=True)

    return strategy.distribute_datasets_from_function(parts)


def common_position(strategy: tf.distribute.Strategy, epoch: int, step: int) -> tuple[int, int]:
    """Return the earliest (epoch, step) among the processes of `strategy`."""
    import tensorflow as tf

    if strategy.num_replicas_in_sync == 1:
        return epoch, step
    mine = strategy.experimental_distribute_values_from_function(
        lambda _: tf.constant([[epoch, step]], tf.int64)
    )
    rows = strategy.gather(mine, axis=0).numpy().tolist()
    earliest_epoch, earliest_step = min(tuple(row) for row in rows)
    return earliest_epoch, earliest_step
