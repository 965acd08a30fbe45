"""The trainable network: Keras's layers and weights, run by our own graph where a CPU trains.

Where a GPU is present, or the precision is not float32, Keras's layers run themselves (on a GPU
with the cuDNN kernel).
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tunesmith.components.networks.gru.training import gru, projected_input, recurrent_weights


class PaperModel(keras.Model):
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
        embeddings = self.get_layer(index=1).embeddings
        steps = self.input_shape[1]
        tokens = tf.transpose(tf.cast(inputs, tf.int32))
        series = None
        for layer, dropout in zip(recurrent, dropouts, strict=True):
            outputs = []
            for direction, reverse in ((layer.forward_layer, False), (layer.backward_layer, True)):
                projected = projected_input(direction, series, tokens, embeddings)
                kernel, bias = recurrent_weights(direction)
                units = direction.units
                outputs.append(gru(projected, kernel, bias, steps, units, reverse))
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
