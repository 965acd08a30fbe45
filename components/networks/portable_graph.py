"""A Keras model as it is exported where its network brings no graph of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray


class PortableGraph(tf.Module):
    """A Keras model in float32, without the cuDNN kernels that exist on a GPU alone.

    ``tf.saved_model.save`` of a Keras 3 model loses the variables in TensorFlow Serving's loader;
    this module owns them.

    Args:
        build: returns the model: tokens int32 [batch, window] to probabilities float32 [batch, V].
        weights: what its ``get_weights`` returned after training.
    """

    def __init__(
        self, build: Callable[[], keras.Model], weights: Sequence[NDArray[np.float32]]
    ) -> None:
        super().__init__(name="portable_graph")
        # It may have been trained with another policy, and on several devices.
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy("float32")
        try:
            model = build()
        finally:
            keras.config.set_dtype_policy(before)
        model.set_weights(weights)
        for layer in model._flatten_layers():
            if hasattr(layer, "use_cudnn"):
                layer.use_cudnn = False
        self._variables = [each.value for each in model.variables]
        # Not as an attribute of its own, or the Keras model would be saved beside the variables.
        self._call: Callable[[Any], Any] = lambda tokens: model(tokens, training=False)

    def __call__(self, tokens: Any) -> Any:
        """Return probabilities, float32 [batch, V], for tokens int32 [batch, window]."""
        return self._call(tokens)
