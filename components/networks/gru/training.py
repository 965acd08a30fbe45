"""A GRU direction for training on a CPU: a short loop forward, a shorter one back.

The gradient is written by hand. What the backward loop multiplies by is worked out for all steps at
once before it starts, so that a step back is one product with the recurrent kernel and four small
operations; the gradients of the kernels are single products over all steps after it.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

STEPS_AN_ITERATION = 5
"""Steps unrolled in a loop's body: fewer costs loop overhead, more costs tracing time
(benchmarks/train.py)."""


def gru(
    projected: tf.Tensor,
    kernel: tf.Tensor,
    bias: tf.Tensor,
    steps: int,
    units: int,
    reverse: bool,
) -> tf.Tensor:
    """Return the states of one GRU direction, float32 [steps, batch, units], differentiably.

    The ``reset_after`` form of Cho et al. 2014 that cuDNN computes, with h the state and p the
    projected input::

        z = sigmoid(p_z + h U_z);  r = sigmoid(p_r + h U_r)
        c = tanh(p_h + r * (h U_h + bias));  h' = c + z * (h - c)

    Args:
        projected: x K + b for the gates z, r, h, the recurrent biases of z and r included, float32
            [steps, batch, 3 * units].
        kernel: U, float32 [units, 3 * units].
        bias: the recurrent bias of h, float32 [units].
        steps: length of the first dimension.
        units: width of the state.
        reverse: from the last step to the first. The result lies in the order of the input.
    """

    @tf.custom_gradient
    def states(projected: Any, kernel: Any, bias: Any) -> Any:
        hidden, gates, reset_from, candidate = _forward(
            projected, kernel, bias, steps, units, reverse
        )

        def gradient(upstream: Any) -> tuple[Any, Any, Any]:
            return _backward(
                upstream, kernel, hidden, gates, reset_from, candidate, steps, units, reverse
            )

        return hidden, gradient

    return states(projected, kernel, bias)


def projected_input(layer: Any, series: Any, tokens: Any, embeddings: Any) -> tf.Tensor:
    """Return what :func:`gru` takes as `projected`, float32 [steps, batch, 3 * units].

    For the first layer it is a look-up in the embeddings times the kernel, V rows; for the others
    one product over all steps. A series narrower than the kernel is tall meets its first rows, as
    if the rest of the series were zero.

    Args:
        layer: a Keras GRU layer.
        series: x, float32 [steps * batch, width]; None for the embeddings of `tokens`.
        tokens: int32 [steps, batch].
        embeddings: float32 [V, width].
    """
    units = layer.units
    kernel, bias = _tensors(layer.cell.kernel, layer.cell.bias)
    bias = tf.concat([bias[0, : 2 * units] + bias[1, : 2 * units], bias[0, 2 * units :]], axis=0)
    if series is None:
        (embeddings,) = _tensors(embeddings)
        return tf.gather(tf.nn.bias_add(tf.matmul(embeddings, kernel), bias), tokens)
    if series.shape[-1] != kernel.shape[0]:
        kernel = kernel[: series.shape[-1]]
    projected = tf.nn.bias_add(tf.matmul(series, kernel), bias)
    return tf.reshape(projected, [tokens.shape[0], -1, 3 * units])


def recurrent_weights(layer: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Return what :func:`gru` takes as `kernel` and `bias` of a Keras GRU layer."""
    kernel, bias = _tensors(layer.cell.recurrent_kernel, layer.cell.bias)
    return kernel, bias[1, 2 * layer.units :]


def _forward(
    projected: Any, kernel: Any, bias: Any, steps: int, units: int, reverse: bool
) -> tuple[Any, Any, Any, Any]:
    """Return every step's state, gates z and r side by side, h U_h + bias, and candidate."""
    ops = tf.raw_ops
    batch = tf.shape(projected)[1]
    gates_in, candidate_in = tf.split(projected, [2 * units, units], axis=2)
    kernel_gates, kernel_candidate = tf.split(kernel, [2 * units, units], axis=1)
    inputs = [_series(gates_in), _series(candidate_in)]

    def step(state: Any, t: Any) -> tuple[Any, Any, Any, Any]:
        before = ops.AddV2(x=ops.MatMul(a=state, b=kernel_gates), y=inputs[0].read(t))
        gates = ops.Sigmoid(x=before)
        z, r = ops.Split(axis=1, value=gates, num_split=2)
        reset_from = ops.BiasAdd(value=ops.MatMul(a=state, b=kernel_candidate), bias=bias)
        reset = ops.AddV2(x=ops.Mul(x=r, y=reset_from), y=inputs[1].read(t))
        candidate = ops.Tanh(x=reset)
        difference = ops.Sub(x=state, y=candidate)
        following = ops.AddV2(x=candidate, y=ops.Mul(x=z, y=difference))
        return following, gates, reset_from, candidate

    def body(done: Any, state: Any, *kept: Any) -> tuple[Any, ...]:
        for ahead in range(_unrolled(steps)):
            t = steps - 1 - done - ahead if reverse else done + ahead
            outcome = step(state, t)
            state = outcome[0]
            kept = tuple(each.write(t, value) for each, value in zip(kept, outcome, strict=True))
        return done + _unrolled(steps), state, *kept

    kept = [
        tf.TensorArray(tf.float32, steps, element_shape=(None, width))
        for width in (units, 2 * units, units, units)
    ]
    results = _loop(body, steps, tf.zeros((batch, units)), *kept)
    hidden, gates, reset_from, candidate = (each.stack() for each in results[1:])
    return hidden, gates, reset_from, candidate


def _backward(
    upstream: Any,
    kernel: Any,
    hidden: Any,
    gates: Any,
    reset_from: Any,
    candidate: Any,
    steps: int,
    units: int,
    reverse: bool,
) -> tuple[Any, Any, Any]:
    """Return the gradients of `projected`, `kernel` and `bias`."""
    ops = tf.raw_ops
    batch = tf.shape(hidden)[1]
    nothing = tf.zeros((1, batch, units))
    before = [hidden[1:], nothing] if reverse else [nothing, hidden[:-1]]
    previous = tf.concat(before, axis=0)
    z, r = tf.split(gates, 2, axis=2)
    # With g the gradient of a step's state, each gradient below is g times one of these.
    to_candidate = (1 - z) * (1 - tf.square(candidate))
    to_z = (previous - candidate) * z * (1 - z)
    to_reset = to_candidate * r
    to_r = to_reset * reset_from * (1 - r)
    through = _series(tf.stack([to_z, to_r, to_reset], axis=2))
    kept = _series(z)
    given = _series(upstream)
    transposed = tf.transpose(kernel)

    def step(later: Any, t: Any) -> tuple[Any, Any]:
        total = ops.AddV2(x=later, y=given.read(t))
        gated = ops.Mul(x=through.read(t), y=ops.ExpandDims(input=total, axis=1))
        product = ops.MatMul(a=ops.Reshape(tensor=gated, shape=[-1, 3 * units]), b=transposed)
        return ops.AddV2(x=product, y=ops.Mul(x=total, y=kept.read(t))), total

    def body(done: Any, later: Any, totals: Any) -> tuple[Any, ...]:
        for ahead in range(_unrolled(steps)):
            t = done + ahead if reverse else steps - 1 - done - ahead
            later, total = step(later, t)
            totals = totals.write(t, total)
        return done + _unrolled(steps), later, totals

    totals = tf.TensorArray(tf.float32, steps, element_shape=(None, units))
    total = _loop(body, steps, tf.zeros((batch, units)), totals)[1].stack()
    of_z, of_r = total * to_z, total * to_r
    of_reset = total * to_reset
    recurrent = tf.reshape(tf.concat([of_z, of_r, of_reset], axis=2), [-1, 3 * units])
    of_kernel = tf.matmul(tf.reshape(previous, [-1, units]), recurrent, transpose_a=True)
    of_projected = tf.concat([of_z, of_r, total * to_candidate], axis=2)
    return of_projected, of_kernel, tf.reduce_sum(of_reset, axis=[0, 1])


def _loop(body: Any, steps: int, *start: Any) -> Any:
    return tf.while_loop(lambda done, *_: done < steps, body, (0, *start))[1:]


def _unrolled(steps: int) -> int:
    """Return how many steps a loop's body takes: a divisor of `steps`."""
    return max(n for n in range(1, STEPS_AN_ITERATION + 1) if steps % n == 0)


def _series(tensor: Any) -> Any:
    """Return a TensorArray of the slices along the first dimension, which are not copied."""
    return tf.TensorArray(tf.float32, tensor.shape[0]).unstack(tensor)


def _tensors(*variables: Any) -> list[Any]:
    return [tf.convert_to_tensor(variable) for variable in variables]
