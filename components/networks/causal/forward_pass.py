"""The exported causal network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tunesmith.components.networks.causal.sizes import CausalSizes
from tunesmith.components.networks.gru.cpu_graph import GATES, step
from tunesmith.components.networks.gru.forward_pass import GruLayers, variables

INTERFACE = "tunesmith_causal_layers"
"""Interface name of both halves of the recurrent layers; window and shapes complete it."""


class ForwardPass(GruLayers):
    """The network with its weights as variables, ready to be called inside a tf.function.

    Args:
        weights: as Keras lists them, see
            :func:`tunesmith.components.networks.causal.keras_model.build_model`.
        sizes: of the network.
    """

    def __init__(self, weights: Sequence[NDArray[np.float32]], sizes: CausalSizes) -> None:
        super().__init__(
            weights[:-2],
            1,
            INTERFACE,
            sizes.window,
            lambda tokens, layers: last_state(tokens, [layer[0] for layer in layers], sizes.window),
        )
        self._dense = variables(weights[-2:])

    def __call__(self, tokens: Any) -> Any:
        """Return probabilities, float32 [batch, V].

        Args:
            tokens: int32 [batch, window], each from 0 up to V.
        """
        kernel, bias = self._dense
        return tf.nn.softmax(tf.nn.bias_add(tf.matmul(self.final_states(tokens), kernel), bias))


def last_state(tokens: Any, layers: Sequence[Sequence[Any]], steps: int) -> Any:
    """Return the last layer's final state, float32 [batch, units].

    A layer's step waits for its own step before and for the layer below, so that one thread can
    work on a layer while another is some steps behind on the next.

    Args:
        tokens: int32 [batch, steps], each in range.
        layers: of each layer its parameters, as
            :func:`tunesmith.components.networks.gru.cpu_graph.direction_parameters` has them.
        steps: length of the window.
    """
    first, *above = layers
    tokens = tf.transpose(tokens)
    looked_up = [
        tf.raw_ops.Unpack(value=tf.gather(table, tokens), num=steps, axis=0)
        for table in first[:GATES]
    ]
    states: list[Any] = [None] * len(layers)
    for t in range(steps):
        *_, z, r, h, bias = first
        states[0] = step([each[t] for each in looked_up], states[0], (z, r, h), bias)
        for number, parameters in enumerate(above, start=1):
            *inputs, z, r, h, bias = parameters
            projected = [
                tf.nn.bias_add(tf.matmul(states[number - 1], kernel), added)
                for kernel, added in zip(inputs[:GATES], inputs[GATES:], strict=True)
            ]
            states[number] = step(projected, states[number], (z, r, h), bias)
    return states[-1]
