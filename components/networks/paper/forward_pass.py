"""The exported network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tunesmith.components.networks.gru.forward_pass import GruLayers, variables
from tunesmith.components.networks.paper import cpu_graph
from tunesmith.components.networks.paper.sizes import PaperSizes

INTERFACE = "tunesmith_recurrent_layers"
"""Interface name of both halves of the recurrent layers; window and shapes complete it."""


class ForwardPass(GruLayers):
    """The network with its weights as variables, ready to be called inside a tf.function.

    Args:
        weights: as Keras lists them, see
            :func:`tunesmith.components.networks.paper.keras_model.build_model`.
        sizes: of the network.
    """

    def __init__(self, weights: Sequence[NDArray[np.float32]], sizes: PaperSizes) -> None:
        super().__init__(
            weights[:-4],
            2,
            INTERFACE,
            sizes.window,
            lambda tokens, layers: cpu_graph.last_states(tokens, layers, sizes.window),
        )
        self._leak = sizes.leak
        self._dense = variables(weights[-4:])

    def __call__(self, tokens: Any) -> Any:
        """Return probabilities, float32 [batch, V].

        Args:
            tokens: int32 [batch, window], each from 0 up to V.
        """
        kernel, bias, output_kernel, output_bias = self._dense
        hidden = tf.nn.bias_add(tf.matmul(self.final_states(tokens), kernel), bias)
        hidden = tf.nn.leaky_relu(hidden, self._leak)
        return tf.nn.softmax(tf.nn.bias_add(tf.matmul(hidden, output_kernel), output_bias))
