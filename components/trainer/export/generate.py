"""The whole sampling loop as a graph: from starts to songs in one call.

The filters and their order are those of the client's loop (``client/sampling.py``): temperature,
top-k, top-p, draw; of two equally probable tokens the smaller goes first. The draws are another
stream than the client's, which races exponential noise (``client/sampling.py``): a seed gives
another song here, from the same distribution. Nothing is guessed ahead: a loop that never leaves
the graph has no call to save.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

MAXIMUM_STEPS = 4096
"""Maximum number of frames of one call; at 5 frames per second a song of 13 minutes."""

PADDING = -1
"""The token after a row's last one, and of all positions in a row with invalid inputs."""


def distribution(probabilities: Any, temperature: Any, top_k: Any, top_p: Any) -> tuple[Any, Any]:
    """Return the rows that tokens are drawn from, and which token each place stands for.

    Args:
        probabilities: float32 [batch, V].
        temperature: float32 [batch]; 0 always takes the most probable token.
        top_k: int32 [batch]; 0 for all.
        top_p: float32 [batch]; 1 for all.

    Returns:
        float64 [batch, V], each row falling and summing to one; and the tokens, int32 [batch, V].
    """
    falling, tokens = tf.math.top_k(tf.cast(probabilities, tf.float64), tf.shape(probabilities)[1])
    place = tf.range(tf.shape(falling)[1])[tf.newaxis]
    greedy = (temperature <= 0)[:, tf.newaxis]
    divisor = tf.cast(temperature, tf.float64)[:, tf.newaxis]
    divisor = tf.where(greedy, tf.ones_like(divisor), divisor)
    logits = tf.math.log(falling)
    rows = tf.exp((logits - logits[:, :1]) / divisor)
    count = tf.where(top_k > 0, top_k, tf.shape(falling)[1])[:, tf.newaxis]
    kept = place < tf.where(greedy, 1, count)
    rows = _normalised(tf.where(kept, rows, tf.zeros_like(rows)))
    share = tf.cast(top_p, tf.float64)[:, tf.newaxis]
    before = tf.cumsum(rows, axis=1, exclusive=True)
    kept = (before < share) | (share >= 1)
    return _normalised(tf.where(kept, rows, tf.zeros_like(rows))), tokens


def draw(rows: Any, tokens: Any, uniforms: Any) -> Any:
    """Return one token a row by inverting the cumulative distribution, int32 [batch].

    Args:
        rows: float64 [batch, V], falling, each with a positive sum.
        tokens: int32 [batch, V], what each place stands for.
        uniforms: float64 [batch], uniform on [0, 1).
    """
    cumulative = tf.cumsum(rows, axis=1)
    thresholds = uniforms[:, tf.newaxis] * cumulative[:, -1:]
    place = tf.reduce_sum(tf.cast(cumulative <= thresholds, tf.int32), axis=1)
    # A uniform just below one may round to the whole sum, past the last token.
    last = tf.reduce_sum(tf.cast(rows > 0, tf.int32), axis=1) - 1
    return tf.gather(tokens, tf.minimum(place, last), batch_dims=1)


def uniforms(seeds: Any) -> Any:
    """Return each row's random numbers, float64 [batch, MAXIMUM_STEPS], uniform on [0, 1).

    A row's follow from its own seed alone: always as many are drawn, since TensorFlow promises the
    same numbers for the same seed and shape.

    Args:
        seeds: int64 [batch].
    """
    return tf.map_fn(
        lambda seed: tf.random.stateless_uniform(
            [MAXIMUM_STEPS], tf.stack([seed, 0]), dtype=tf.float64, alg="philox"
        ),
        seeds,
        fn_output_signature=tf.TensorSpec([MAXIMUM_STEPS], tf.float64),
    )


def generate_signature(
    forward: Callable[[Any], Any], window: int, size: int
) -> tf.types.experimental.GenericFunction:
    """Return the ``generate`` signature.

    Args:
        forward: tokens int32 [batch, window] to probabilities float32 [batch, V].
        window: tokens that the network sees.
        size: V.
    """
    row = [None]

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, window], tf.int32, "tokens"),
            tf.TensorSpec(row, tf.int32, "steps"),
            tf.TensorSpec(row, tf.float32, "temperature"),
            tf.TensorSpec(row, tf.int32, "top_k"),
            tf.TensorSpec(row, tf.float32, "top_p"),
            tf.TensorSpec(row, tf.int64, "seed"),
        ],
        autograph=False,
    )
    def generate(
        tokens: Any, steps: Any, temperature: Any, top_k: Any, top_p: Any, seed: Any
    ) -> dict[str, Any]:
        usable = tf.reduce_all((tokens >= 0) & (tokens < size), axis=1)
        usable &= (steps >= 0) & (steps <= MAXIMUM_STEPS) & (top_k >= 0)
        usable &= (temperature >= 0) & tf.math.is_finite(temperature) & (top_p > 0) & (top_p <= 1)
        wanted = tf.where(usable, steps, 0)
        longest = tf.reduce_max(tf.concat([wanted, [0]], axis=0))
        # A stack of no steps has no shape, so one is always taken and cut off again.
        taken = tf.maximum(longest, 1)
        random = tf.transpose(uniforms(seed))
        # A row that is not usable runs along on harmless values, and its answer is dropped.
        temperature = tf.where(usable, temperature, 1.0)
        top_p = tf.where(usable, top_p, 1.0)

        def body(step: Any, seen: Any, drawn: Any, chances: Any) -> tuple[Any, ...]:
            probabilities = forward(seen)
            rows, order = distribution(probabilities, temperature, top_k, top_p)
            token = draw(rows, order, random[step])
            chance = tf.math.log(tf.gather(probabilities, token, batch_dims=1))
            going = step < wanted
            seen = tf.concat([seen[:, 1:], token[:, tf.newaxis]], axis=1)
            drawn = drawn.write(step, tf.where(going, token, PADDING))
            return step + 1, seen, drawn, chances.write(step, tf.where(going, chance, 0.0))

        start = (
            0,
            tf.clip_by_value(tokens, 0, size - 1),
            tf.TensorArray(tf.int32, taken, element_shape=row),
            tf.TensorArray(tf.float32, taken, element_shape=row),
        )
        _, _, drawn, chances = tf.while_loop(lambda step, *_: step < taken, body, start)
        return {
            "tokens": tf.transpose(drawn.stack())[:, :longest],
            "log_probabilities": tf.transpose(chances.stack())[:, :longest],
        }

    return generate


def _normalised(rows: Any) -> Any:
    return rows / tf.reduce_sum(rows, axis=1, keepdims=True)
