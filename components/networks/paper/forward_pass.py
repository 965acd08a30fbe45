"""The exported network: one graph with a half for CPUs and a half for GPUs.

Both halves are functions of the same arguments that carry the attributes ``api_implements`` (the
same name) and ``api_preferred_device``. The CPU half is the one called; where the call is placed on
a GPU, TensorFlow's implementation selector (a pass of its graph optimizer, run by every Session)
puts the other half in its place when the model is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tunesmith.components.networks.paper import cpu_graph, cudnn_graph
from tunesmith.components.networks.paper.keras_model import Architecture

INTERFACE = "tunesmith_recurrent_layers"
"""The name that both halves implement."""

_DIRECTION_WEIGHTS = 3


class ForwardPass(tf.Module):
    """The network with its weights as variables, ready to be called inside a tf.function."""

    def __init__(self, weights: Sequence[NDArray[np.float32]], architecture: Architecture) -> None:
        """Arrange a trained network's weights for both halves.

        Args:
            weights: as Keras lists them, see
            :func:`tunesmith.components.networks.paper.keras_model.build_model`.
            architecture: sizes.
        """
        super().__init__(name="forward_pass")
        self._architecture = architecture
        embeddings, *recurrent = weights[:-4]
        directions = [
            (recurrent[i], recurrent[i + 1], recurrent[i + 2])
            for i in range(0, len(recurrent), _DIRECTION_WEIGHTS)
        ]
        unrolled = [
            cpu_graph.layer_parameters(*each, embeddings if number < 2 else None)
            for number, each in enumerate(directions)
        ]
        self._directions = [_variables(each) for each in unrolled]
        self._cudnn = _variables([embeddings, cudnn_graph.packed_parameters(directions)])
        self._dense = _variables(weights[-4:])
        self._halves = [
            tf.function(
                half,
                autograph=False,
                experimental_attributes={
                    "api_implements": INTERFACE,
                    "api_preferred_device": device,
                },
            )
            for half, device in ((self._cpu_half, "CPU"), (self._gpu_half, "GPU"))
        ]

    def __call__(self, tokens: Any) -> Any:
        """Return probabilities, float32 [batch, V].

        Args:
            tokens: int32 [batch, window], each from 0 up to V.
        """
        arguments = (
            tokens,
            [[tf.convert_to_tensor(each) for each in values] for values in self._directions],
            [tf.convert_to_tensor(each) for each in self._cudnn],
        )
        cpu_half, gpu_half = (half.get_concrete_function(*arguments) for half in self._halves)
        # Nothing calls the GPU half: it has to be put into the graph's library by hand.
        gpu_half.add_to_graph(tf.compat.v1.get_default_graph())
        states = cpu_half(*tf.nest.flatten(arguments))
        kernel, bias, output_kernel, output_bias = self._dense
        hidden = tf.nn.bias_add(tf.matmul(states, kernel), bias)
        hidden = tf.nn.leaky_relu(hidden, self._architecture.leak)
        return tf.nn.softmax(tf.nn.bias_add(tf.matmul(hidden, output_kernel), output_bias))

    def _cpu_half(self, tokens: Any, directions: Any, cudnn: Any) -> Any:
        del cudnn  # An argument of the other half; both have to take the same.
        layers = [directions[i : i + 2] for i in range(0, len(directions), 2)]
        return cpu_graph.last_states(tokens, layers, self._architecture.window)

    def _gpu_half(self, tokens: Any, directions: Any, cudnn: Any) -> Any:
        del directions
        sizes = self._architecture
        embeddings, packed = cudnn
        return cudnn_graph.last_states(tokens, embeddings, packed, sizes.layers, sizes.units)


def _variables(arrays: Sequence[NDArray[np.float32]]) -> list[tf.Variable]:
    return [tf.Variable(each, trainable=False) for each in arrays]
