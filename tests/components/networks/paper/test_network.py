"""The trainable network runs our own graph on a CPU; Keras's layers are the reference."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tunesmith.components.networks.paper.keras_model import build_model
from tunesmith.components.networks.paper.sizes import PaperSizes

V = 30

SMALL = PaperSizes(units=16, layers=2, window=6)
ARCHITECTURES = [
    PaperSizes(window=13),
    PaperSizes(embedding=3, units=5, layers=1, dense=4, window=7),
    PaperSizes(embedding=4, units=8, layers=2, dense=6, window=1),
]


def pair(architecture: PaperSizes) -> tuple[Any, Any]:
    """Our network and the plain Keras one, with the same weights."""
    ours, plain = (build_model(V, architecture, portable=portable) for portable in (False, True))
    random = np.random.default_rng(architecture.window)
    weights = [random.normal(0, 0.2, each.shape).astype("f") for each in ours.get_weights()]
    ours.set_weights(weights)
    plain.set_weights(weights)
    return ours, plain


def windows(architecture: PaperSizes) -> tuple[Any, Any]:
    random = np.random.default_rng(1)
    return random.integers(0, V, (6, architecture.window), dtype=np.int32), random.integers(0, V, 6)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_outputs_and_gradients_are_those_of_keras_own_layers(architecture: PaperSizes) -> None:
    tokens, targets = windows(architecture)
    outputs, gradients = [], []
    for network in pair(architecture):
        variables = [each.value for each in network.trainable_variables]
        with tf.GradientTape() as tape:
            output = network(tokens, training=False)
            losses = keras.losses.sparse_categorical_crossentropy(targets, output)
            loss = tf.reduce_sum(losses)
        outputs.append(output)
        gradients.append([tf.convert_to_tensor(g) for g in tape.gradient(loss, variables)])
    np.testing.assert_allclose(*outputs, atol=1e-6)
    assert len(gradients[0]) == 1 + 6 * architecture.layers + 4
    for mine, reference in zip(*gradients, strict=True):
        scale = np.abs(reference).max()
        # The recurrent kernel of a single step multiplies the state zero.
        assert scale > 0 or architecture.window == 1
        np.testing.assert_allclose(mine, reference, atol=1e-4 * scale + 1e-9)


def test_dropout_acts_while_training_and_only_then() -> None:
    network, _ = pair(SMALL)
    tokens, _ = windows(SMALL)
    served = network(tokens, training=False)
    np.testing.assert_array_equal(served, network(tokens, training=False))
    trained = [np.asarray(network(tokens, training=True)) for _ in range(2)]
    assert np.abs(trained[0] - served).max() > 1e-4
    assert np.abs(trained[0] - trained[1]).max() > 1e-4


def test_the_network_learns_what_it_is_shown() -> None:
    architecture = PaperSizes(embedding=8, units=8, layers=1, dense=8, window=5, dropout=0.1)
    keras.utils.set_random_seed(1)
    network = build_model(V, architecture)
    tokens = np.random.default_rng(2).integers(0, V, (192, 5), dtype=np.int32)
    loss = "sparse_categorical_crossentropy"
    network.compile(keras.optimizers.Nadam(0.01), loss, jit_compile=False)
    # The batches are not all of one size: 192 = 2 * 80 + 32.
    losses = network.fit(tokens, tokens[:, -1], batch_size=80, epochs=25, verbose=0)
    assert losses.history["loss"][0] > 3.3
    assert losses.history["loss"][-1] < 1.5


def test_half_precision_takes_keras_own_layers() -> None:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network, plain = pair(SMALL)
    finally:
        keras.config.set_dtype_policy(before)
    tokens, _ = windows(SMALL)
    np.testing.assert_array_equal(network(tokens), plain(tokens))
