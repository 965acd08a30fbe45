"""The CPU half of the exported network: every step of every layer written out, stock operations.

What makes it fast (benchmarks/forward.py): layer 1's input projection is a look-up in a table of V
rows; those of the layers above are products over all steps; the two directions of a layer are
independent chains, one for each inter-op thread; no gate is ever split off a wider product, which
would copy it; and in time-major order a step is a slice that is not copied.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import tensorflow as tf

from tunesmith.components.networks.gru.cpu_graph import GATES, step


def last_states(tokens: Any, layers: Sequence[Sequence[Sequence[Any]]], steps: int) -> Any:
    """Return the last layer's final states, forward then backward, float32 [batch, 2 * units].

    Args:
        tokens: int32 [batch, steps], each in range.
        layers: of each layer the parameters of its forward and its backward direction, as
            :func:`tunesmith.components.networks.gru.cpu_graph.direction_parameters` has them.
        steps: length of the window.
    """
    tokens = tf.transpose(tokens)
    series: Any = None
    for number, layer in enumerate(layers):
        last = number == len(layers) - 1
        outputs = []
        for reverse, parameters in zip((False, True), layer, strict=True):
            *inputs, z, r, h, bias = parameters
            if series is None:
                projected = [tf.gather(table, tokens) for table in inputs]
            else:
                projected = _projected(series, inputs[:GATES], inputs[GATES:], steps)
            chain = _chain(steps, int(bias.shape[0]), reverse, last)
            outputs.append(chain(*projected, z, r, h, bias))
        # A row of `series` is a step of a window: [steps * batch, 2 * units].
        series = tf.concat(outputs, axis=-1)
        if not last:
            series = tf.reshape(series, [-1, series.shape[-1]])
    return series


def _projected(series: Any, kernels: Sequence[Any], biases: Sequence[Any], steps: int) -> list[Any]:
    """Return x K + b of each gate, float32 [steps, batch, units]."""
    products = [
        tf.nn.bias_add(tf.matmul(series, kernel), bias)
        for kernel, bias in zip(kernels, biases, strict=True)
    ]
    return [tf.reshape(each, [steps, -1, each.shape[-1]]) for each in products]


@cache
def _chain(steps: int, units: int, reverse: bool, last: bool) -> Callable[..., Any]:
    """Return the function of one direction: all states [steps, batch, units], or the last one.

    Layers of equal size share it, so that it is traced and stored once.
    """
    series = tf.TensorSpec([steps, None, units])
    square = tf.TensorSpec([units, units])
    ops = tf.raw_ops

    def chain(x_z: Any, x_r: Any, x_h: Any, u_z: Any, u_r: Any, u_h: Any, bias: Any) -> Any:
        inputs = [ops.Unpack(value=each, num=steps, axis=0) for each in (x_z, x_r, x_h)]
        order = range(steps - 1, -1, -1) if reverse else range(steps)
        states: list[Any] = [None] * steps
        state: Any = None
        for t in order:
            a_z, a_r, a_h = (each[t] for each in inputs)
            state = step((a_z, a_r, a_h), state, (u_z, u_r, u_h), bias)
            states[t] = state
        return state if last else ops.Pack(values=states, axis=0)

    return tf.function(
        chain,
        input_signature=[series] * 3 + [square] * 3 + [tf.TensorSpec([units])],
        autograph=False,
    )
