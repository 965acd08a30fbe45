"""The causal network; Keras's own layers are the reference."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tunesmith.components.networks.causal.network import NETWORK
from tunesmith.components.networks.causal.sizes import CausalSizes
from tunesmith.components.networks.portable_graph import PortableGraph

V = 30
SMALL = CausalSizes(embedding=6, units=8, layers=2, window=9)
SIZES = [
    CausalSizes(window=13),
    SMALL,
    CausalSizes(embedding=3, units=5, layers=1, window=1),
]


def network(sizes: CausalSizes) -> Any:
    model = NETWORK.build(V, sizes)
    random = np.random.default_rng(sizes.window)
    model.set_weights([random.normal(0, 0.2, each.shape) for each in model.get_weights()])
    return model


def keras_network(sizes: CausalSizes) -> Any:
    """Return logits [batch, window, V] by nothing but Keras's layers."""
    tokens = keras.Input((sizes.window,), dtype="int32")
    series = keras.layers.Embedding(V, sizes.embedding)(tokens)
    for _ in range(sizes.layers):
        series = keras.layers.GRU(sizes.units, return_sequences=True, use_cudnn=False)(series)
    return keras.Model(tokens, keras.layers.Dense(V)(series))


def windows(batch: int, sizes: CausalSizes) -> Any:
    return np.random.default_rng(batch).integers(0, V, (batch, sizes.window), dtype=np.int32)


@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("sizes", SIZES)
def test_predictions_and_gradients_are_those_of_keras_own_layers(
    sizes: CausalSizes, batch: int
) -> None:
    ours, plain = network(sizes), keras_network(sizes)
    plain.set_weights(ours.get_weights())
    tokens = windows(batch, sizes)
    targets = np.random.default_rng(0).integers(0, V, tokens.shape)
    every_position = NETWORK.every_position(ours)
    outputs, gradients = [], []
    for model, forward in ((ours, every_position), (plain, plain)):
        variables = [each.value for each in model.trainable_variables]
        with tf.GradientTape() as tape:
            logits = forward(tf.constant(tokens), training=False)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
        outputs.append(logits)
        found = tape.gradient(losses, variables)
        gradients.append([tf.convert_to_tensor(gradient) for gradient in found])
    np.testing.assert_allclose(*outputs, atol=1e-5)
    assert len(gradients[0]) == 1 + 3 * sizes.layers + 2
    for mine, reference in zip(*gradients, strict=True):
        scale = np.abs(reference).max()
        # The recurrent kernel of a single step multiplies the state zero.
        assert scale > 0 or sizes.window == 1
        np.testing.assert_allclose(mine, reference, atol=1e-4 * scale + 1e-9)


def test_a_later_frame_never_changes_an_earlier_prediction() -> None:
    every_position = NETWORK.every_position(network(SMALL))
    tokens = windows(4, SMALL)
    before = every_position(tf.constant(tokens), training=False).numpy()
    for position in range(1, SMALL.window):
        changed = tokens.copy()
        changed[:, position] = (changed[:, position] + 1) % V
        after = every_position(tf.constant(changed), training=False).numpy()
        np.testing.assert_allclose(after[:, :position], before[:, :position], atol=1e-7)
        assert (np.abs(after[:, position:] - before[:, position:]).max(axis=2) > 1e-4).all()


@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("sizes", SIZES)
def test_the_exported_graph_is_that_of_keras_layers(sizes: CausalSizes, batch: int) -> None:
    model = network(sizes)
    tokens = tf.constant(windows(batch, sizes))
    served = tf.function(NETWORK.for_serving(model, V, sizes), autograph=False)(tokens)
    reference = PortableGraph(lambda: last_of(keras_network(sizes)), model.get_weights())
    np.testing.assert_allclose(served, reference(tokens), atol=1e-6)


def last_of(model: Any) -> Any:
    return keras.Model(model.inputs, keras.ops.softmax(model.outputs[0][:, -1]))


def test_dropout_acts_while_training_and_only_then() -> None:
    every_position = NETWORK.every_position(network(SMALL))
    tokens = tf.constant(windows(4, SMALL))
    served = every_position(tokens, training=False).numpy()
    np.testing.assert_array_equal(served, every_position(tokens, training=False))
    trained = [every_position(tokens, training=True).numpy() for _ in range(2)]
    assert np.abs(trained[0] - served).max() > 1e-4
    assert np.abs(trained[0] - trained[1]).max() > 1e-4


def test_half_precision_takes_keras_own_layers() -> None:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        ours, plain = NETWORK.build(V, SMALL), keras_network(SMALL)
    finally:
        keras.config.set_dtype_policy(before)
    plain.set_weights(ours.get_weights())
    tokens = tf.constant(windows(4, SMALL))
    logits = NETWORK.every_position(ours)(tokens, training=False)
    assert logits.dtype == tf.float32
    np.testing.assert_allclose(logits, tf.cast(plain(tokens), tf.float32), atol=0.02)
