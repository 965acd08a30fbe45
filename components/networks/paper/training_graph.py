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

    The forward halves of the layers alone are a causal network (:meth:`every_position`), which can
    be trained first.
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

    def silence_backward_halves(self) -> None:
        """Set to zero what the forward halves and the head take from the backward halves.

        The network then predicts what its forward halves alone do, exactly.
        """
        recurrent, _, dense = self._parts()
        kernels = [layer.forward_layer.cell.kernel for layer in recurrent[1:]]
        for variable in (*kernels, dense[0].kernel):
            value = variable.numpy()
            value[recurrent[0].forward_layer.units :] = 0
            variable.assign(value)

    def forward_weights(self) -> list[Any]:
        """Return the variables of the embedding, the forward halves and the head."""
        recurrent, _, dense = self._parts()
        layers = [self.get_layer(index=1), *(x.forward_layer for x in recurrent), *dense]
        return [variable for layer in layers for variable in layer.trainable_weights]

    def every_position(self, tokens: Any, training: bool) -> Any:
        """Return logits of the forward halves alone, float32 [batch, window, V].

        Position t predicts token t + 1 of `tokens`, int32 [batch, window]. What comes from the
        backward halves counts as zero. On a CPU the two halves of a batch are independent chains,
        one for each inter-op thread.
        """
        recurrent, dropouts, dense = self._parts()
        units = recurrent[0].forward_layer.units
        if tf.config.list_logical_devices("GPU") or self.compute_dtype != "float32":
            series = self.get_layer(index=1)(tokens)
            for layer, dropout in zip(recurrent, dropouts, strict=True):
                if layer is not recurrent[0]:
                    series = tf.concat([series, tf.zeros_like(series)], axis=2)
                series = dropout(_all_states(layer.forward_layer, series), training=training)
            return self._forward_head(tf.cast(series, tf.float32), units, dense)
        tokens = tf.cast(tokens, tf.int32)
        embeddings = self.get_layer(index=1).embeddings
        half = tf.shape(tokens)[0] // 2
        chains = []
        for part in (tokens[:half], tokens[half:]):
            steps, series = tf.transpose(part), None
            for layer, dropout in zip(recurrent, dropouts, strict=True):
                direction = layer.forward_layer
                projected = projected_input(direction, series, steps, embeddings)
                kernel, bias = recurrent_weights(direction)
                states = gru(projected, kernel, bias, tokens.shape[1], units, False)
                series = dropout(tf.reshape(states, [-1, units]), training=training)
            chains.append(tf.reshape(series, [tokens.shape[1], -1, units]))
        states = tf.transpose(tf.concat(chains, axis=1), [1, 0, 2])
        return self._forward_head(states, units, dense)

    def _forward_head(self, states: Any, units: int, dense: list[Any]) -> Any:
        """Return the logits for the forward states alone, float32 [batch, window, units]."""
        first, *between, last = dense
        hidden = tf.tensordot(states, tf.convert_to_tensor(first.kernel)[:units], 1)
        hidden = tf.nn.bias_add(hidden, tf.convert_to_tensor(first.bias))
        for layer in between:
            hidden = layer(hidden)
        logits = tf.tensordot(tf.cast(hidden, tf.float32), tf.convert_to_tensor(last.kernel), 1)
        return tf.nn.bias_add(logits, tf.convert_to_tensor(last.bias))

    def _parts(self) -> tuple[list[Any], list[Any], list[Any]]:
        """Return the GRU layers, the dropout after each, and what follows the last dropout."""
        recurrent = [x for x in self.layers if isinstance(x, keras.layers.Bidirectional)]
        dropouts = [x for x in self.layers if isinstance(x, keras.layers.Dropout)]
        return recurrent, dropouts, self.layers[self.layers.index(dropouts[-1]) + 1 :]


def _all_states(layer: Any, series: Any) -> Any:
    """Return every state of a Keras GRU layer, whether or not it returns them by itself."""
    before, layer.return_sequences = layer.return_sequences, True
    try:
        return layer(series)
    finally:
        layer.return_sequences = before
