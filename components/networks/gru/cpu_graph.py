"""One GRU step written out in stock operations, for an exported graph that runs on a CPU.

What makes it fast (benchmarks/forward.py): layer 1's input projection is a look-up in a table of V
rows, and no gate is ever split off a wider product, which would copy it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Array = NDArray[np.float32]

GATES = 3
"""z, r and h, in Keras's order."""


def direction_parameters(
    kernel: Array, recurrent: Array, bias: Array, embeddings: Array | None
) -> list[Array]:
    """Return the weights of one GRU direction, arranged for :func:`step`.

    Args:
        kernel: Keras's, [width, 3 * units].
        recurrent: Keras's recurrent kernel, [units, 3 * units].
        bias: Keras's, [2, 3 * units]: of the input and of the state.
        embeddings: [V, width] for layer 1, None above it.

    Returns:
        For layer 1 the tables [V, units] of the three gates; above it the kernels [width, units]
        and biases [units] of the gates. Then the recurrent kernels [units, units] of the gates and
        the recurrent bias [units] of h; the recurrent biases of z and r are part of the others.
    """
    units = recurrent.shape[0]
    added = bias[0] + np.where(np.arange(GATES * units) < 2 * units, bias[1], 0)
    if embeddings is None:
        first = [*_gates(kernel), *_gates(added)]
    else:
        table = embeddings.astype(np.float64) @ kernel.astype(np.float64) + added
        first = _gates(table.astype(np.float32))
    return [*first, *_gates(recurrent), bias[1, 2 * units :]]


def step(inputs: Sequence[Any], state: Any, kernels: Sequence[Any], bias: Any) -> Any:
    """Return the state after one step, float32 [batch, units].

    Args:
        inputs: the projected input x K + b of the gates z, r and h, float32 [batch, units] each.
        state: the state before, float32 [batch, units]; None for zeros.
        kernels: the recurrent kernels of the gates, float32 [units, units] each.
        bias: the recurrent bias of h, float32 [units].
    """
    ops = tf.raw_ops
    a_z, a_r, a_h = inputs
    if state is None:
        z, r = ops.Sigmoid(x=a_z), ops.Sigmoid(x=a_r)
        candidate = ops.Tanh(x=ops.AddV2(x=ops.Mul(x=r, y=bias), y=a_h))
        return ops.Sub(x=candidate, y=ops.Mul(x=z, y=candidate))
    u_z, u_r, u_h = kernels
    z = ops.Sigmoid(x=ops.AddV2(x=ops.MatMul(a=state, b=u_z), y=a_z))
    r = ops.Sigmoid(x=ops.AddV2(x=ops.MatMul(a=state, b=u_r), y=a_r))
    reset_from = ops.BiasAdd(value=ops.MatMul(a=state, b=u_h), bias=bias)
    candidate = ops.Tanh(x=ops.AddV2(x=ops.Mul(x=r, y=reset_from), y=a_h))
    change = ops.Mul(x=z, y=ops.Sub(x=state, y=candidate))
    return ops.AddV2(x=candidate, y=change)


def _gates(array: Array) -> list[Array]:
    return [np.ascontiguousarray(each) for each in np.split(array, GATES, axis=-1)]
