"""A model of the whole contract that is there at once: probabilities are rows of a table."""

from __future__ import annotations

from pathlib import Path

import pytest

CHORDS = ("60,64,67", "60,65,69", "59,62,67", "57,60,64", "48,60,64,67")
FRAMES = ["e", *map(str, range(55, 85)), *CHORDS]
WINDOW = 50


@pytest.fixture(scope="session")
def table_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base path with version 1: what comes next depends on the window's last token alone."""
    from tunesmith.components.trainer.export.generate import generate_signature
    from tunesmith.serving.runtime import tf

    size = len(FRAMES)
    module = tf.Module()
    module.table = tf.Variable(tf.random.stateless_normal([size, size], seed=[7, 0]))
    module.frames = tf.constant(FRAMES)

    def forward(tokens: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(tf.gather(module.table, tokens[:, -1]))

    @tf.function(input_signature=[tf.TensorSpec([None, WINDOW], tf.int32, "tokens")])
    def serving_default(tokens: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": forward(tokens)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "token_ids")])
    def vocabulary(token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"frames": tf.gather(module.frames, token_ids)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "token_ids")])
    def settings(token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"frames_per_second": tf.fill(tf.shape(token_ids), 5.0)}

    module.generate = generate_signature(forward, WINDOW, size)
    signatures = {
        "serving_default": serving_default,
        "vocabulary": vocabulary,
        "settings": settings,
        "generate": module.generate,
    }
    base = tmp_path_factory.mktemp("models") / "tunesmith"
    base.mkdir()
    tf.saved_model.save(module, str(base / "1"), signatures=signatures)
    return base
