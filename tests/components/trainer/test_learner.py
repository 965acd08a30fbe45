"""One step and one judgement of the network under training."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tunesmith.components.networks.causal.network import NETWORK as causal
from tunesmith.components.networks.causal.sizes import CausalSizes
from tunesmith.components.networks.paper.network import NETWORK
from tunesmith.components.networks.paper.sizes import PaperSizes
from tunesmith.components.records.windows import Shuffle, WindowTable
from tunesmith.components.trainer.learner import Learner

SMALL = PaperSizes(embedding=8, units=8, layers=1, dense=8, dropout=0.2, window=10)
TUNE = np.tile(np.array([1, 2, 3, 4, 3, 2], np.int32), 5)
TABLE = WindowTable.from_songs([TUNE, TUNE[3:]], 10, (0,))


def learner(seed: int = 1, **options: Any) -> Learner:
    strategy = tf.distribute.get_strategy()
    return Learner(NETWORK, 7, SMALL, strategy, seed=seed, batch=16, eval_batch=16, **options)


def one_epoch(learner: Learner, epoch: int = 0) -> float:
    """Train on every window once; returns the mean loss."""
    total, left = 0.0, len(TABLE)
    for batch in learner.batches(TABLE, Shuffle(0, epoch), 0):
        total += float(learner.train(*batch, tf.constant(float(min(16, left)))))
        left -= 16
    return total / len(TABLE)


def test_a_smaller_last_batch_counts_as_it_should_and_is_no_second_trace() -> None:
    subject = learner()
    # 57 windows are three batches of 16 and nine windows.
    for epoch in range(2):
        one_epoch(subject, epoch)
        found = subject.cut_loss(TABLE)
    assert [step.experimental_get_tracing_count() for step in subject.steps] == [1]
    assert subject.judge.experimental_get_tracing_count() == 1
    padded = [np.pad(song, (10, 0)) for song in (TUNE, TUNE[3:])]
    windows = np.concatenate(
        [np.lib.stride_tricks.sliding_window_view(song[:-1], 10) for song in padded]
    )
    targets = np.concatenate([TUNE, TUNE[3:]])
    probabilities = subject.model(windows, training=False).numpy()
    expected = -np.log(probabilities[np.arange(len(targets)), targets]).mean()
    assert found == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_many_targets_is_their_mean_and_leaves_out_what_is_before_the_song() -> None:
    sizes = CausalSizes(embedding=8, units=8, layers=1, dropout=0, window=10)
    strategy = tf.distribute.get_strategy()
    subject = Learner(causal, 7, sizes, strategy, seed=1, batch=16, eval_batch=16)
    every_position = causal.every_position(subject.model)
    (tokens, targets, weight), *_ = subject.batches(TABLE, Shuffle(0, 0), 0)
    logits = every_position(tokens, training=False)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits).numpy()
    in_song = weight.numpy() > 0
    assert 0 < in_song.sum() < in_song.size
    total = float(subject.train(tokens, targets, weight, tf.constant(16.0)))
    assert total == pytest.approx(16 * losses[in_song].mean(), rel=1e-5)


def test_clipping_bounds_how_far_the_weights_move() -> None:
    subject = learner(clip_norm=1e-10)
    before = subject.weights()
    one_epoch(subject)
    moved = [np.abs(a - b).max() for a, b in zip(before, subject.weights(), strict=True)]
    # Nadam divides by the gradient's size and 1e-7: far below it, hardly anything moves.
    assert max(moved) < 1e-4


def test_products_in_bfloat16_leave_weights_and_the_process_as_they_are() -> None:
    policy = keras.config.dtype_policy().name
    exact, coarse = learner(), learner(precision="bfloat16")
    assert keras.config.dtype_policy().name == policy
    assert {str(weight.dtype) for weight in coarse.weights()} == {"float32"}
    first, second = one_epoch(exact), one_epoch(coarse)
    assert first != second
    assert first == pytest.approx(second, rel=0.02)


def test_the_seed_decides_the_weights_and_the_dropout() -> None:
    first, second, other = (learner(seed).arrays() for seed in (1, 1, 2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])
    assert {name for name in first if not np.array_equal(first[name], other[name])} >= {"model/0"}
    seeds = [
        name for name, array in first.items() if array.dtype == np.int64 and array.shape == (2,)
    ]
    assert seeds
    assert all(not np.array_equal(first[name], other[name]) for name in seeds)
