"""Scalars for TensorBoard, in the form that it reads without a plug-in of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class ScalarLog(Protocol):
    """A log of scalars over the steps of a training."""

    def write(self, step: int, **scalars: float) -> None:
        """Log `scalars` as they are after `step` steps."""


class NoLog:
    """Logs nothing."""

    def write(self, step: int, **scalars: float) -> None:
        """See :class:`ScalarLog`."""
        del step, scalars


class TensorBoardLog:
    """Logs into an event file in `folder`, where TensorBoard finds it."""

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        self._writer = tf.summary.create_file_writer(str(folder))
        # tf.summary.scalar would do the same, but needs TensorBoard itself to be installed.
        plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
        self._metadata = tf.compat.v1.SummaryMetadata(plugin_data=plugin)

    def write(self, step: int, **scalars: float) -> None:
        """See :class:`ScalarLog`."""
        import tensorflow as tf

        with self._writer.as_default():
            for name, value in scalars.items():
                number = tf.constant(value, tf.float32)
                tf.summary.write(name, number, step, metadata=self._metadata)
        self._writer.flush()
