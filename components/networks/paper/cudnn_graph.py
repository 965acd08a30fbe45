"""The GPU half of the exported network: all layers and both directions in one cuDNN operation.

The operation exists on GPUs only, but a graph that holds it can be built and saved anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Array = NDArray[np.float32]

_MATRICES = 6
"""Of one direction: r, z, h of the input, then of the state; and as many biases."""


def packed_parameters(directions: Sequence[tuple[Array, Array, Array]]) -> Array:
    """Return every matrix and then every bias as one vector, float32 [parameters].

    cuDNN orders the gates r, z, h where Keras has z, r, h, and its matrices are [units, width].

    Args:
        directions: Keras's kernel [width, 3 * units], recurrent kernel [units, 3 * units] and bias
            [2, 3 * units] of layer 1 forward, layer 1 backward, layer 2 forward, and so on.
    """
    matrices: list[Array] = []
    biases: list[Array] = []
    for kernel, recurrent, bias in directions:
        for array in (kernel, recurrent):
            matrices += [each.T for each in _reordered(array)]
        for array in bias:
            biases += _reordered(array)
    return np.concatenate([each.ravel() for each in (*matrices, *biases)])


def last_states(tokens: Any, embeddings: Any, packed: Any, layers: int, units: int) -> Any:
    """Return the last layer's final states, forward then backward, float32 [batch, 2 * units].

    Args:
        tokens: int32 [batch, steps], each in range.
        embeddings: float32 [V, width].
        packed: what :func:`packed_parameters` returned.
        layers: bidirectional layers.
        units: width of a direction.
    """
    width = int(embeddings.shape[1])
    inputs = tf.gather(embeddings, tf.transpose(tokens))
    start = tf.zeros([2 * layers, tf.shape(tokens)[0], units])
    mode = {"rnn_mode": "gru", "input_mode": "linear_input", "direction": "bidirectional"}
    matrices, biases = _unpacked(packed, layers, units, width)
    # cuDNN itself says where in its own buffer each of them goes.
    parameters = tf.raw_ops.CudnnRNNCanonicalToParamsV2(
        num_layers=layers,
        num_units=units,
        input_size=width,
        weights=matrices,
        biases=biases,
        **mode,
    )
    _, states, *_ = tf.raw_ops.CudnnRNNV2(
        input=inputs,
        input_h=start,
        input_c=0.0,  # A GRU has no cell state.
        params=parameters,
        is_training=False,
        **mode,
    )
    return tf.ensure_shape(tf.concat([states[-2], states[-1]], axis=1), [None, 2 * units])


def _unpacked(packed: Any, layers: int, units: int, width: int) -> tuple[list[Any], list[Any]]:
    shapes = []
    for layer in range(layers):
        direction = [(units, width if layer == 0 else 2 * units)] * 3 + [(units, units)] * 3
        shapes += direction * 2
    sizes = [rows * columns for rows, columns in shapes]
    parts = tf.split(packed, sizes + [units] * (_MATRICES * 2 * layers))
    matrices = [
        tf.reshape(part, shape) for part, shape in zip(parts[: len(shapes)], shapes, strict=True)
    ]
    return matrices, parts[len(shapes) :]


def _reordered(array: Array) -> list[Array]:
    z, r, h = np.split(array, 3, axis=-1)
    return [r, z, h]
