"""The occurrences of each context in the training songs, in their own key and in all keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tunesmith.components.mixture.counting import Ints, Occurrences
from tunesmith.components.mixture.evidence import (
    COLUMNS,
    CONTEXTS,
    MULTIPLIERS,
    TOKEN_COLUMNS,
    find_columns,
)
from tunesmith.components.mixture.transposition import ALL_KEYS, UNKNOWN, transposed
from tunesmith.components.records.eval_windows import EvalWindows
from tunesmith.components.records.song_index import SongIndex

COUNTED_FRAMES = 2_000_000
"""Training frames that are counted at most: bounds time and memory."""

ALL_KEYS_FRAMES = 1_500_000
"""Frames in all keys together up to which songs are counted in all of them: many songs are in many
keys by themselves, and counting these would take minutes."""

_BATCH = 4096


@dataclass(frozen=True)
class TrainingSongs:
    """The songs that are counted, and that the gate is fitted to.

    Args:
        held: their windows.
        groups: int64 [windows], a number for each song; its copies in other keys have the same.
        fitted: int64 [k], the windows of songs in their own key.
        judged: int64 [k], of these the windows of the validation songs.
    """

    held: EvalWindows
    groups: Ints
    fitted: Ints
    judged: Ints

    @classmethod
    def read(
        cls, train: SongIndex, judged: SongIndex, window: int, rests: Sequence[int]
    ) -> TrainingSongs:
        """Read the first songs of the index, up to :data:`COUNTED_FRAMES`.

        Args:
            train: all training songs.
            judged: the validation songs among them.
            window: frames that the model sees.
            rests: the token of each part's rest.
        """
        count = int(np.searchsorted(np.cumsum(train.lengths), COUNTED_FRAMES)) + 1
        some = np.arange(min(count, len(train)))
        held = EvalWindows.of(list(train.in_order(some)), window, rests)
        lengths = train.lengths[some]
        original = np.repeat(train.original[some], lengths)
        groups = np.repeat(train.groups[some], lengths)
        set_aside = original & np.isin(groups, judged.groups)
        return cls(held, groups, np.flatnonzero(original), np.flatnonzero(set_aside))


def find_contexts(
    songs: TrainingSongs, names: Sequence[str], rests: Sequence[int]
) -> list[Occurrences]:
    """Return where each of :data:`CONTEXTS` occurs, in their order.

    Those of all keys begin with the songs' own, frame by frame as in `songs.fitted`; they occur
    nowhere where that would be more than :data:`ALL_KEYS_FRAMES`.

    Args:
        songs: to look in.
        names: of the tokens, V of them.
        rests: the token of each part's rest.
    """
    columns, targets = _columns(songs.held, rests), songs.held.targets.astype(np.int64)
    own, all_keys = np.split(np.arange(len(CONTEXTS)), 2)
    found = [Occurrences(_keys(columns, each), targets, songs.groups) for each in own]
    columns, targets, groups = (each[songs.fitted] for each in (columns, targets, songs.groups))
    few = len(ALL_KEYS) * len(targets) <= ALL_KEYS_FRAMES
    copies = [
        _in_key(columns, targets, transposed(names, semitones))
        for semitones in (ALL_KEYS if few else ())
    ]
    for context in all_keys:
        used = MULTIPLIERS[:-1, context] != 0
        parts = [Occurrences(*(np.zeros(0, np.int64) for _ in range(3)))]
        for moved, after in copies:
            # V stands for a frame that is not known in that key.
            known = (moved[:, used] < len(names)).all(axis=1) & (after < len(names))
            parts.append(Occurrences(_keys(moved, context), after, groups).chosen(known))
        found.append(Occurrences(*(np.concatenate(each) for each in zip(*parts, strict=True))))
    return found


def _keys(columns: Ints, context: int) -> Ints:
    """Return a context's keys, int64 [n]; see :data:`evidence.MULTIPLIERS`."""
    keys: Ints = columns @ MULTIPLIERS[:-1, context] + MULTIPLIERS[-1, context]
    return keys


def _in_key(columns: Ints, targets: Ints, shift: Ints) -> tuple[Ints, Ints]:
    """Return columns and targets in another key; a token that is not known there becomes V."""
    # The last one is that of -1, which stands for no token.
    moved = np.append(np.where(shift == UNKNOWN, len(shift), shift), -1)
    result = columns.copy()
    result[:, :TOKEN_COLUMNS] = moved[columns[:, :TOKEN_COLUMNS]]
    return result, moved[targets]


def _columns(held: EvalWindows, rests: Sequence[int]) -> Ints:
    """Return what the contexts of all windows are made of, int64 [frames, COLUMNS]."""
    find = tf.function(
        lambda tokens: find_columns(tokens, rests),
        input_signature=[tf.TensorSpec([None, held.window], tf.int32)],
        autograph=False,
    )
    result = np.empty((len(held), COLUMNS), np.int64)
    for first in range(0, len(held), _BATCH):
        some = slice(first, first + _BATCH)
        result[some] = find(tf.constant(held.windows(some))).numpy()
    return result
