"""The trainable causal network: Keras's layers and weights, run by our own graph on a CPU."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tunesmith.components.networks.causal.sizes import CausalSizes
from tunesmith.components.networks.gru.training import gru, projected_input, recurrent_weights


def build_model(vocabulary_size: int, sizes: CausalSizes) -> CausalModel:
    """Return the untrained network: tokens int32 [batch, window] to float32 [batch, V].

    Embedding, GRU layers (Keras's default ``reset_after`` form) that run forward, each with
    dropout, and one dense layer from the last state to the logits. Weights and their order are
    Keras's: the embedding; kernel, recurrent kernel and bias of each layer; kernel and bias of the
    dense layer.

    Args:
        vocabulary_size: V, tokens known.
        sizes: of the network.
    """
    tokens = keras.Input((sizes.window,), dtype="int32", name="tokens")
    series = keras.layers.Embedding(vocabulary_size, sizes.embedding)(tokens)
    for _ in range(sizes.layers):
        series = keras.layers.GRU(sizes.units, return_sequences=True)(series)
        series = keras.layers.Dropout(sizes.dropout)(series)
    logits = keras.layers.Dense(vocabulary_size, dtype="float32", name="logits")(series[:, -1])
    return CausalModel(tokens, keras.ops.softmax(logits), name="tunesmith")


class CausalModel(keras.Model):
    """A functional model of Embedding, GRUs with Dropout, and a dense layer.

    Where a GPU is present, or the precision is not float32, Keras's layers run themselves (on a GPU
    with the cuDNN kernel). On a CPU the series run time-major, layer 1's input projection is a
    look-up in the embedding times the kernel, those of the layers above are one product over all
    steps, and the two halves of a batch are independent chains, one for each inter-op thread.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Return probabilities, float32 [batch, V], of tokens int32 [batch, window]."""
        del mask
        last = self._states(inputs, training)[:, -1]
        return tf.nn.softmax(self.get_layer("logits")(last))

    def every_position(self, tokens: Any, training: bool) -> Any:
        """Return logits, float32 [batch, window, V], of tokens int32 [batch, window]."""
        return self.get_layer("logits")(self._states(tokens, training))

    def _states(self, tokens: Any, training: bool | None) -> Any:
        """Return the last layer's states after dropout, [batch, window, units]."""
        recurrent = [x for x in self.layers if isinstance(x, keras.layers.GRU)]
        dropouts = [x for x in self.layers if isinstance(x, keras.layers.Dropout)]
        embedding = self.get_layer(index=1)
        if tf.config.list_logical_devices("GPU") or self.compute_dtype != "float32":
            series = embedding(tokens)
            for layer, dropout in zip(recurrent, dropouts, strict=True):
                series = dropout(layer(series), training=training)
            return series
        tokens = tf.cast(tokens, tf.int32)
        half = tf.shape(tokens)[0] // 2
        halves = []
        for part in (tokens[:half], tokens[half:]):
            steps = tf.transpose(part)
            series = None
            for layer, dropout in zip(recurrent, dropouts, strict=True):
                projected = projected_input(layer, series, steps, embedding.embeddings)
                kernel, bias = recurrent_weights(layer)
                states = gru(projected, kernel, bias, tokens.shape[1], layer.units, False)
                series = dropout(tf.reshape(states, [-1, layer.units]), training=training)
            halves.append(tf.reshape(series, [tokens.shape[1], -1, recurrent[-1].units]))
        return tf.transpose(tf.concat(halves, axis=1), [1, 0, 2])
