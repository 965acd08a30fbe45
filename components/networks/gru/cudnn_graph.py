"""GRU layers for an exported graph that runs on a GPU: one cuDNN operation for all of them.

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
            [2, 3 * units] of layer 1 forward, layer 1 backward (where there are two directions),
            layer 2 forward, and so on.
    """
    matrices: list[Array] = []
    biases: list[Array] = []
    for kernel, recurrent, bias in directions:
        for array in (kernel, recurrent):
            matrices += [each.T for each in _reordered(array)]
        for array in bias:
            biases += _reordered(array)
    return np.concatenate([each.ravel() for each in (*matrices, *biases)])


def unpacked_parameters(
    packed: Array, layers: int, units: int, width: int, directions: int
) -> list[tuple[Array, Array, Array]]:
    """Return the directions that :func:`packed_parameters` made `packed` of.

    Args:
        packed: float32 [parameters].
        layers: see :func:`last_states`.
        units: see there.
        width: of an embedding.
        directions: see there.

    Raises:
        ValueError: there are more or fewer parameters than such layers have.
    """
    shapes = _shapes(layers, units, width, directions)
    sizes = [
        *(rows * columns for rows, columns in shapes),
        *[units] * (_MATRICES * directions * layers),
    ]
    if sum(sizes) != len(packed):
        raise ValueError(f"{len(packed)} parameters, not {sum(sizes)}")
    parts = np.split(packed, np.cumsum(sizes)[:-1])
    matrices = [part.reshape(shape).T for part, shape in zip(parts, shapes, strict=False)]
    biases = parts[len(shapes) :]
    return [
        (
            np.concatenate(_swapped(matrices[i : i + 3]), axis=1),
            np.concatenate(_swapped(matrices[i + 3 : i + 6]), axis=1),
            np.stack([np.concatenate(_swapped(biases[j : j + 3])) for j in (i, i + 3)]),
        )
        for i in range(0, len(matrices), _MATRICES)
    ]


def last_states(
    tokens: Any, embeddings: Any, packed: Any, layers: int, units: int, directions: int
) -> Any:
    """Return the last layer's final states, float32 [batch, directions * units], forward first.

    Args:
        tokens: int32 [batch, steps], each in range.
        embeddings: float32 [V, width].
        packed: what :func:`packed_parameters` returned.
        layers: GRU layers.
        units: width of a direction.
        directions: of a layer: 1 is forward alone, 2 is bidirectional.
    """
    width = int(embeddings.shape[1])
    inputs = tf.gather(embeddings, tf.transpose(tokens))
    start = tf.zeros([directions * layers, tf.shape(tokens)[0], units])
    direction = "bidirectional" if directions == 2 else "unidirectional"
    mode = {"rnn_mode": "gru", "input_mode": "linear_input", "direction": direction}
    matrices, biases = _unpacked(packed, layers, units, width, directions)
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
    last = [states[-number] for number in range(directions, 0, -1)]
    return tf.ensure_shape(tf.concat(last, axis=1), [None, directions * units])


def _unpacked(
    packed: Any, layers: int, units: int, width: int, directions: int
) -> tuple[list[Any], list[Any]]:
    shapes = _shapes(layers, units, width, directions)
    sizes = [rows * columns for rows, columns in shapes]
    parts = tf.split(packed, sizes + [units] * (_MATRICES * directions * layers))
    matrices = [
        tf.reshape(part, shape) for part, shape in zip(parts[: len(shapes)], shapes, strict=True)
    ]
    return matrices, parts[len(shapes) :]


def _shapes(layers: int, units: int, width: int, directions: int) -> list[tuple[int, int]]:
    """Return the shape of each matrix, in the order of :func:`packed_parameters`."""
    shapes: list[tuple[int, int]] = []
    for layer in range(layers):
        below = width if layer == 0 else directions * units
        shapes += ([(units, below)] * 3 + [(units, units)] * 3) * directions
    return shapes


def _reordered(array: Array) -> list[Array]:
    return _swapped(np.split(array, 3, axis=-1))


def _swapped(gates: Sequence[Array]) -> list[Array]:
    """Return z, r, h as r, z, h, and the other way round."""
    first, second, h = gates
    return [second, first, h]
