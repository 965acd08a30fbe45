"""The gate: how far each part of the mixture is believed, from what is known of a window.

Weights that depend on cheap features of the context, learned on songs that were neither counted
nor learned from, are better than constant ones (Bakhtin, Szlam, Ranzato and Grave 2018,
"Lightweight adaptive mixture of neural and n-gram language models").

It has two stages. The counted parts are weighed on all training songs, each by the counts of all
others. The network is set against their mixture on songs that it did not learn from, which are far
fewer: so that stage is a straight line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Floats = NDArray[np.float32]

HIDDEN = 24
"""Units of the hidden layer."""

DECAY = 25.0
"""Penalty of each weight's square, divided by the frames: as large as keeps 18 songs from being
overfitted, see docs/model.md."""

STEPS, BATCH, RATE = 2500, 512, 0.005
"""Of Adam (Kingma and Ba 2015), its rate falling by half a cosine to 0."""

LEAST_STEPS = 300
"""As many steps as there are frames, but between this and :data:`STEPS`."""

BLEND_DECAY = 0.003
"""The same of the blend, for the frames of a song or two."""

UNFITTED = 0.2
"""Share of the network where there is no song to fit the blend to."""

BLEND_FEATURES = 8

BLEND_RATE = 0.02
"""Of its training: a network that is no use has to be given up within it."""

MOST_OF_NETWORK = 0.99
"""A network may be certain and wrong; what was counted never is."""

FARTHEST = 10.0
"""Standard deviations from the mean that a feature may have: one that hardly varied in the training
songs would otherwise drown all others."""

_IMPOSSIBLE = -1e9
_LEAST = 1e-12


@dataclass(frozen=True)
class Gate:
    """A hidden layer of tanh units and a direct path, to one logit a part.

    Args:
        mean: float32 [features], of the features; the layers see them less this,
        scale: float32 [features], divided by this.
        weights: hidden kernel [features, hidden] and bias, output kernel [hidden, parts] and bias,
            direct kernel [features, parts].
    """

    mean: Floats
    scale: Floats
    weights: Sequence[Any]


def logits(gate: Gate, features: Any) -> Any:
    """Return float32 [n, parts] of features float32 [n, features]."""
    kernel, bias, output, output_bias, direct = gate.weights
    seen = _standard(features, gate.mean, gate.scale)
    hidden = tf.tanh(tf.matmul(seen, kernel) + bias)
    return tf.matmul(hidden, output) + tf.matmul(seen, direct) + output_bias


def shares(scores: Any, possible: Any) -> Any:
    """Return the softmax over the parts that are possible, float32 [n, parts]."""
    return tf.nn.softmax(tf.where(possible, scores, _IMPOSSIBLE))


def fit_gate(features: Floats, possible: NDArray[np.bool_], of_target: Floats, seed: int) -> Gate:
    """Return the gate under which the frames are likely.

    Args:
        features: float32 [frames, features].
        possible: bool [frames, parts], which parts have a distribution.
        of_target: float32 [frames, parts], the probability that each gives to the frame.
        seed: of the first weights and of the order.
    """
    random = np.random.default_rng(seed)
    mean = features.mean(axis=0).astype(np.float32)
    scale = (features.std(axis=0) + 1e-3).astype(np.float32)
    inputs, parts = features.shape[1], possible.shape[1]
    first = [
        random.normal(size=(inputs, HIDDEN)) * 0.15,
        np.zeros(HIDDEN),
        random.normal(size=(HIDDEN, parts)) * 0.1,
        np.zeros(parts),
        np.zeros((inputs, parts)),
    ]
    weights = [tf.Variable(each.astype(np.float32)) for each in first]
    gate = Gate(mean, scale, weights)
    columns = [tf.constant(each) for each in (features, possible, of_target)]

    def loss(rows: Any) -> Any:
        some, allowed, given = (tf.gather(each, rows) for each in columns)
        share = shares(logits(gate, some), allowed)
        likelihood = tf.math.log(tf.reduce_sum(share * given, axis=1) + _LEAST)
        kernels = [each for each in weights if len(each.shape) == 2]
        penalty = tf.add_n([tf.reduce_sum(each * each) for each in kernels])
        return DECAY / len(features) * penalty - tf.reduce_mean(likelihood)

    _minimise(loss, weights, random, len(features), RATE)
    return Gate(mean, scale, [each.numpy() for each in weights])


def gate_loss(
    gate: Gate, features: Floats, possible: NDArray[np.bool_], of_target: Floats
) -> float:
    """Return how unlikely the frames are under a gate, in nats a frame; see :func:`fit_gate`."""
    share = shares(logits(gate, tf.constant(features)), possible)
    likelihood = tf.math.log(tf.reduce_sum(share * of_target, axis=1) + _LEAST)
    return -float(tf.reduce_mean(likelihood))


@dataclass(frozen=True)
class Blend:
    """The logistic function of a weighted sum: the share of the network.

    Args:
        mean: float32 [8], of the features.
        scale: float32 [8].
        weights: float32 [8, 1].
        bias: float32 [1].
    """

    mean: Floats
    scale: Floats
    weights: Any
    bias: Any

    def mix(self, network: Any, counted: Any, reach: Any) -> Any:
        """Return the mixture, float32 [n, V].

        Args:
            network: float32 [n, V], rows that sum to one.
            counted: likewise, the mixture of the counted parts.
            reach: float32 [n, 3], see :func:`blend_features`.
        """
        share = self.share(blend_features(network, counted, reach))
        return counted + share * (network - counted)

    def share(self, features: Any) -> Any:
        """Return the network's share, float32 [n, 1], of features float32 [n, 8]."""
        seen = _standard(features, self.mean, self.scale)
        return MOST_OF_NETWORK * tf.sigmoid(tf.matmul(seen, self.weights) + self.bias)


def blend_features(network: Any, counted: Any, reach: Any) -> Any:
    """Return float32 [n, 8]: how sure both are, how far they agree, and `reach`.

    Args:
        network: float32 [n, V], rows that sum to one.
        counted: likewise.
        reach: float32 [n, 3], how much of the window is padding, how often it changes, and how far
            it repeats itself.
    """
    sure = []
    for rows in (network, counted):
        entropy = -tf.reduce_sum(rows * tf.math.log(rows + _LEAST), axis=1, keepdims=True)
        sure += [entropy, tf.reduce_max(rows, axis=1, keepdims=True)]
    agreement = tf.reduce_sum(tf.sqrt(network * counted), axis=1, keepdims=True)
    return tf.concat([*sure, agreement, reach], axis=1)


def unfitted_blend() -> Blend:
    """Return a blend that gives the network :data:`UNFITTED` of every frame."""
    zeros = np.zeros(BLEND_FEATURES, np.float32)
    bias = np.array([np.log(UNFITTED / (MOST_OF_NETWORK - UNFITTED))], np.float32)
    return Blend(zeros, zeros + 1, zeros[:, None], bias)


def fit_blend(features: Floats, of_target: tuple[Floats, Floats], seed: int) -> Blend:
    """Return the blend under which the frames are likely.

    Args:
        features: float32 [frames, 8], see :func:`blend_features`.
        of_target: float32 [frames], what network and counted parts say of each frame.
        seed: of the order.
    """
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-3
    weights, bias = tf.Variable(np.zeros((features.shape[1], 1), np.float32)), tf.Variable([-1.0])
    blend = Blend(mean, scale, weights, bias)
    columns = [tf.constant(each) for each in (features, *of_target)]

    def loss(rows: Any) -> Any:
        some, network, counted = (tf.gather(each, rows) for each in columns)
        said = counted + blend.share(some)[:, 0] * (network - counted)
        penalty = BLEND_DECAY * tf.reduce_sum(weights * weights)
        return penalty - tf.reduce_mean(tf.math.log(said + _LEAST))

    _minimise(loss, [weights, bias], np.random.default_rng(seed), len(features), BLEND_RATE)
    return Blend(mean, scale, weights.numpy(), bias.numpy())


def _standard(features: Any, mean: Floats, scale: Floats) -> Any:
    return tf.clip_by_value((features - mean) / scale, -FARTHEST, FARTHEST)


def _minimise(
    loss: Callable[[Any], Any],
    weights: Sequence[tf.Variable],
    random: Any,
    count: int,
    peak: float,
) -> None:
    """Minimise `loss` of some rows' numbers, of `count` rows, over `weights`."""
    import keras

    steps = min(max(count, LEAST_STEPS), STEPS)
    rate = keras.optimizers.schedules.CosineDecay(peak, steps)
    optimizer = keras.optimizers.Adam(rate)
    optimizer.build(list(weights))

    @tf.function(autograph=False)
    def step(rows: Any) -> None:
        with tf.GradientTape() as tape:
            value = loss(rows)
        optimizer.apply(tape.gradient(value, weights))

    for _ in range(steps):
        step(tf.constant(random.integers(count, size=min(BATCH, count))))
