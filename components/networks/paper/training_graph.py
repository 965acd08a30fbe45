"""The trainable network: Keras's layers and weights, run by our own graph where a CPU trains.

Where a GPU is present, or the precision is not float32, Keras's layers run themselves (on a GPU
with the cuDNN kernel).
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tunesmith.components.networks.paper.gru_training import gru


class Network(keras.Model):
    """A functional model of Embedding, Bidirectional GRUs with Dropout, and dense layers.

    Its weights, their order and its outputs are those of the plain Keras model. On a CPU:

    - the series run time-major, both directions of a layer side by side;
    - layer 1's input projection is a look-up in the embedding times the kernel, V rows;
    - the projections of the layers above are one product over all steps.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Return probabilities, float32 [batch, V], of tokens int32 [batch, window]."""
        if tf.config.list_logical_devices("GPU") or self.compute_dtype != "float32":
            return super().call(inputs, training=training, mask=mask)
        recurrent, dropouts, dense = self._parts()
        steps = self.input_shape[1]
        tokens = tf.transpose(tf.cast(inputs, tf.int32))
        series = None
        for layer, dropout in zip(recurrent, dropouts, strict=True):
            outputs = []
            for direction, reverse in ((layer.forward_layer, False), (layer.backward_layer, True)):
                projected = self._projected(direction, series, tokens, steps)
                kernel, bias = _tensors(direction.cell.recurrent_kernel, direction.cell.bias)
                units = direction.units
                state_bias = bias[1, 2 * units :]
                outputs.append(gru(projected, kernel, state_bias, steps, units, reverse))
            if layer is recurrent[-1]:
                hidden = tf.concat([outputs[0][-1], outputs[1][0]], axis=1)
                hidden = dropout(hidden, training=training)
            else:
                series = tf.reshape(tf.concat(outputs, axis=2), [-1, 2 * layer.forward_layer.units])
                series = dropout(series, training=training)
        for layer in dense:
            hidden = layer(hidden)
        return hidden

    def _parts(self) -> tuple[list[Any], list[Any], list[Any]]:
        """Return the GRU layers, the dropout after each, and what follows the last dropout."""
        recurrent = [x for x in self.layers if isinstance(x, keras.layers.Bidirectional)]
        dropouts = [x for x in self.layers if isinstance(x, keras.layers.Dropout)]
        return recurrent, dropouts, self.layers[self.layers.index(dropouts[-1]) + 1 :]

    def _projected(self, direction: Any, series: Any, tokens: Any, steps: int) -> Any:
        """Return x K + b for every step, float32 [steps, batch, 3 * units].

        Args:
            direction: a Keras GRU layer.
            series: x, float32 [steps * batch, width]; None for the embeddings of `tokens`.
            tokens: int32 [steps, batch].
            steps: length of the window.
        """
        units = direction.units
        kernel, bias = _tensors(direction.cell.kernel, direction.cell.bias)
        bias = tf.concat(
            [bias[0, : 2 * units] + bias[1, : 2 * units], bias[0, 2 * units :]], axis=0
        )
        if series is None:
            (embeddings,) = _tensors(self.get_layer(index=1).embeddings)
            return tf.gather(tf.nn.bias_add(tf.matmul(embeddings, kernel), bias), tokens)
        projected = tf.nn.bias_add(tf.matmul(series, kernel), bias)
        return tf.reshape(projected, [steps, -1, 3 * units])


def _tensors(*variables: Any) -> list[Any]:
    return [tf.convert_to_tensor(variable) for variable in variables]
