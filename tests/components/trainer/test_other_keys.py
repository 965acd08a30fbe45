"""Windows in other keys, with noise, and frames that only validation songs have."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tunesmith.components.encodings.names import KEYS
from tunesmith.components.trainer.near_tokens import nearest_known
from tunesmith.components.trainer.other_keys import in_other_keys, noised, shift_table
from tunesmith.music import Vocabulary

VOCABULARY = Vocabulary(((), (60,), (62,), (60, 64), (62, 65), (64, 67), (80,)), 5.0)


def seed(number: int) -> tf.Tensor:
    return tf.constant([3, number], tf.int64)


def test_a_frame_becomes_that_which_it_is_in_the_other_key_or_the_nearest() -> None:
    table = shift_table(VOCABULARY)
    assert table.shape == (12, 7)
    assert table[KEYS.index(0)].tolist() == list(range(7))
    # Up a tone: 60 is 62; 62 would be 64, of which 60,64 holds half, as does 64,67; 60,64 would be
    # 62,66, of which 62 is a half; nothing has a pitch in common with 80 + 2.
    assert table[KEYS.index(2)].tolist() == [0, 2, 3, 2, 5, -1, -1]
    assert VOCABULARY.names[table[KEYS.index(2), 4]] == "64,67"


def test_a_window_is_moved_as_a_whole_or_stays() -> None:
    table = tf.constant(shift_table(VOCABULARY))
    windows = tf.constant([[0, 1, 4, 1], [6, 6, 6, 6]] * 64)
    targets = tf.constant([1, 6] * 64)
    weight = tf.ones(128)
    moved, after, kept = in_other_keys(windows, targets, weight, table, seed(1))
    assert {tuple(row) for row in moved[1::2].numpy().tolist()} == {(6, 6, 6, 6)}
    assert set(after[1::2].numpy().tolist()) == {6}
    rows = {
        (tuple(row), target)
        for row, target in zip(
            moved[::2].numpy().tolist(), after[::2].numpy().tolist(), strict=True
        )
    }
    # A tone up all of its frames are known; in the other keys some are not.
    assert ((0, 2, 5, 2), 2) in rows
    assert ((0, 1, 4, 1), 1) in rows
    for row, target in rows:
        assert any(
            row == tuple(table.numpy()[key, [0, 1, 4, 1]]) and target == table.numpy()[key, 1]
            for key in range(12)
        )
    np.testing.assert_array_equal(kept, weight)


def test_the_same_step_draws_the_same_and_another_does_not() -> None:
    table = tf.constant(shift_table(VOCABULARY))
    windows = tf.constant([[1, 4, 1, 1]] * 64)
    draws = [
        in_other_keys(windows, windows, tf.ones([64, 4]), table, seed(number))[0].numpy().tolist()
        for number in (1, 1, 2)
    ]
    assert draws[0] == draws[1] != draws[2]


def test_noise_replaces_a_share_of_the_tokens_by_others_of_the_batch() -> None:
    windows = tf.constant(np.arange(6000, dtype=np.int32).reshape(120, 50) % 7 + 3)
    found = noised(windows, 0.3, seed(5))
    changed = float(tf.reduce_mean(tf.cast(found != windows, tf.float32)))
    # A seventh of the draws is what was there before.
    assert abs(changed - 0.3 * 6 / 7) < 0.03
    assert set(found.numpy().ravel().tolist()) == set(range(3, 10))


def test_a_frame_that_was_never_learned_counts_as_the_nearest_that_was() -> None:
    known = np.array([True, True, False, True, False, False, True])
    # 62 and 62,65 share a pitch with none and become the most frequent; 64,67 holds 64.
    assert nearest_known(VOCABULARY, known).tolist() == [0, 1, 1, 3, 1, 3, 6]
    assert nearest_known(VOCABULARY, known | True).tolist() == list(range(7))
