"""A Keras model as it is exported where its network brings no graph of its own."""

from __future__ import annotations

import importlib
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tunesmith.components.networks.portable_graph import PortableGraph

V, WINDOW = 9, 6


def build() -> keras.Model:
    tokens = keras.Input((WINDOW,), dtype="int32")
    hidden = keras.layers.Embedding(V, 4)(tokens)
    hidden = keras.layers.Bidirectional(keras.layers.GRU(5, return_sequences=True))(hidden)
    hidden = keras.layers.BatchNormalization()(keras.layers.LSTM(5)(hidden))
    return keras.Model(tokens, keras.layers.Dense(V, "softmax", dtype="float32")(hidden))


def operations(forward: PortableGraph, directory: Path) -> set[str]:
    signature = [tf.TensorSpec([None, WINDOW], tf.int32, "tokens")]
    serving = tf.function(forward.__call__, input_signature=signature)
    tf.saved_model.save(forward, str(directory), signatures={"serving_default": serving})
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        meta = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(directory))
        library = meta.graph_def.library.function
        return {node.op for function in library for node in function.node_def}


def test_no_cudnn_kernel_is_exported_where_a_gpu_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A function of the same name hides the module as an attribute.
    layers = importlib.import_module("keras.src.backend.tensorflow.rnn")
    monkeypatch.setattr(layers, "_is_gpu_available", lambda: True)
    assert build().layers[-3].use_cudnn == "auto"
    found = operations(PortableGraph(build, build().get_weights()), tmp_path / "1")
    assert "MatMul" in found
    assert not [name for name in found if "Cudnn" in name]


def test_a_model_trained_in_half_precision_is_exported_in_float32() -> None:
    keras.utils.set_random_seed(1)
    policy = keras.config.dtype_policy().name
    exact = build()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        forward = PortableGraph(build, exact.get_weights())
        after = keras.config.dtype_policy().name
    finally:
        keras.config.set_dtype_policy(policy)
    assert after == "mixed_bfloat16"
    tokens = np.random.default_rng(1).integers(0, V, (5, WINDOW), dtype=np.int32)
    np.testing.assert_array_equal(forward(tf.constant(tokens)), exact(tokens, training=False))
