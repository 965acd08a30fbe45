"""Counts and fits the mixture on the training songs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tunesmith.components.mixture.counting import UNSEEN, ContextTable, Occurrences, left_out
from tunesmith.components.mixture.evidence import (
    KINDS,
    find_evidence,
    probabilities_of,
    reach,
)
from tunesmith.components.mixture.gate import (
    Blend,
    Gate,
    blend_features,
    fit_blend,
    fit_gate,
    gate_loss,
    unfitted_blend,
)
from tunesmith.components.mixture.mixture import Counted, CountedParts, Mixture
from tunesmith.components.mixture.occurrences import TrainingSongs, find_contexts
from tunesmith.components.records.eval_windows import EvalWindows
from tunesmith.components.spread import evenly

Ints = NDArray[np.int64]

FITTED_FRAMES, JUDGED_FRAMES = 60_000, 4096
"""Training frames, evenly spread, that gate and blend are fitted to."""

_BATCH = 1024


@dataclass(frozen=True)
class Prepared:
    """The parts of a mixture that do not depend on the network.

    Args:
        songs: what was counted.
        every: counted in all training songs, which is what is served.
        learned: counted in the training songs without the validation songs; None without any.
    """

    songs: TrainingSongs
    every: Counted
    learned: Counted | None

    def mixed_with(
        self, network: Callable[[Any], Any], renamed: NDArray[np.int32], seed: int
    ) -> Mixture:
        """Return the mixture with a network, with a blend fitted on the validation songs.

        Where there are none, it has a share of
        :data:`tunesmith.components.mixture.gate.UNFITTED`.

        Args:
            network: tokens int32 [n, w] to probabilities float32 [n, V].
            renamed: int32 [V], the token that replaces each token in the validation songs: itself,
                or the nearest one of the training songs.
            seed: of the order in which the frames are taken.
        """
        blend = unfitted_blend()
        if self.learned is not None:
            some = self.songs.judged[evenly(len(self.songs.judged), JUDGED_FRAMES)]
            held = self.songs.held
            held = EvalWindows(renamed[held.tokens], held.starts, held.window)
            blend = _fit_blend(network, self.learned, held, some, seed)
        return Mixture(network, self.every, blend, self.songs.held.window)


def prepare_mixture(
    songs: TrainingSongs,
    names: Sequence[str],
    rests: Sequence[int],
    *,
    maximum_bytes: int,
    seed: int,
    base: ContextTable | None = None,
) -> Prepared:
    """Count the songs and fit the gate of what was counted.

    Args:
        songs: to count and to fit to.
        names: of the tokens, V of them.
        rests: the token of each part's rest.
        maximum_bytes: of the table, see
            :meth:`tunesmith.components.mixture.counting.ContextTable.count`.
        seed: of the gate.
        base: what was counted before, in other songs; it is added if that predicts the songs better
            than they predict each other.
    """
    contexts = find_contexts(songs, names, rests)
    frames = _FittedFrames.read(songs, len(names), rests)
    gate, loss = frames.fit(contexts, None, seed)
    if base is not None:
        with_base, loss_with_base = frames.fit(contexts, base, seed)
        gate, base = (with_base, base) if loss_with_base < loss else (gate, None)

    def counted(left: NDArray[np.bool_]) -> Counted:
        unigram = np.bincount(songs.held.targets[left[songs.groups]], minlength=len(names))
        some = [each.chosen(left[each.songs]) for each in contexts]
        table = ContextTable.count(unigram, some, maximum_bytes, base)
        return Counted(table, gate, tuple(rests))

    left = np.ones(int(songs.groups.max()) + 1, bool)
    every = counted(left)
    left[songs.groups[songs.judged]] = False
    return Prepared(songs, every, counted(left) if len(songs.judged) else None)


@dataclass(frozen=True)
class _FittedFrames:
    """The frames that the gate is fitted to, and all of them that no context has a part in.

    Args:
        size: V.
        places: int64 [k], which of the songs' own windows they are.
        windows: int64 [k], which of all windows.
        unigram: float32 [k], probability of each frame by the counts of all other songs.
        evidence: see :func:`_evidence`.
    """

    size: int
    places: Ints
    windows: Ints
    unigram: NDArray[np.float32]
    evidence: list[NDArray[Any]]

    @classmethod
    def read(cls, songs: TrainingSongs, size: int, rests: Sequence[int]) -> _FittedFrames:
        """Take at most :data:`FITTED_FRAMES` of the songs in their own key, evenly spread."""
        count = len(songs.fitted)
        places = np.arange(count)[evenly(count, FITTED_FRAMES)]
        some = songs.fitted[places]
        # The empty context is one that all frames have in common.
        targets = songs.held.targets.astype(np.int64)
        known = left_out(Occurrences(targets * 0, targets, songs.groups), size, some)
        unigram = (known.of_target * known.totals + UNSEEN) / (known.totals + UNSEEN * size)
        return cls(size, places, some, unigram, _evidence(songs.held, some, rests))

    def fit(
        self, contexts: Sequence[Occurrences], base: ContextTable | None, seed: int
    ) -> tuple[Gate, float]:
        """Return the gate and the loss of these frames, in nats a frame.

        Args:
            contexts: where each occurs, in the order of the parts.
            base: see :func:`prepare_mixture`.
            seed: of the gate.
        """
        known = [
            left_out(each, self.size, self.windows if number < len(KINDS) else self.places, base)
            for number, each in enumerate(contexts)
        ]
        totals, distinct, of_context = (np.stack(each, axis=1) for each in zip(*known, strict=True))
        features, in_window, of_match, sounded, repeats = self.evidence
        count = len(self.windows)
        always, uniform = np.ones((count, 2), bool), np.full(count, 1 / self.size)
        of_target = [of_context, of_match, repeats, self.unigram[:, None], uniform[:, None]]
        fitted_to = (
            np.concatenate([np.log1p(totals), np.log1p(distinct), features], axis=1),
            np.concatenate([totals > 0, in_window > 0, sounded, always], axis=1),
            np.concatenate(of_target, axis=1).astype(np.float32),
        )
        gate = fit_gate(*fitted_to, seed)
        return gate, gate_loss(gate, *fitted_to)


def _fit_blend(
    network: Callable[[Any], Any], counted: Counted, held: EvalWindows, some: Ints, seed: int
) -> Blend:
    parts = CountedParts(counted)

    def read(tokens: Any, targets: Any) -> Any:
        found = parts.find(tokens)
        said = network(tokens), parts.mixed(found, parts.shares(found))
        of_target = [tf.gather(rows, targets, axis=1, batch_dims=1) for rows in said]
        return blend_features(*said, reach(found.evidence)), *of_target

    windows, targets = held.windows(some), held.targets[some]
    features, of_network, of_counted = _in_batches(read, windows, targets)
    return fit_blend(features, (of_network, of_counted), seed)


def _evidence(held: EvalWindows, some: Ints, rests: Sequence[int]) -> list[NDArray[Any]]:
    """Return of some windows what the gate is fitted to.

    Features and totals of the evidence, what its matches say of the target, whether the last token
    is music, and whether the target repeats it.
    """

    def read(tokens: Any, targets: Any) -> Any:
        evidence = find_evidence(tokens, rests)
        sounded = evidence.followed[:, -1:] >= 0
        repeats = tf.cast(tf.equal(tokens[:, -1:], targets[:, None]), tf.float32)
        said = probabilities_of(evidence, targets)
        return evidence.features, evidence.totals, said, sounded, repeats

    return _in_batches(read, held.windows(some), held.targets[some])


def _in_batches(read: Callable[..., Any], *columns: NDArray[np.int32]) -> list[NDArray[Any]]:
    """Return each of what a graph answers to all rows of `columns`, int32."""
    find = _compiled(read, *(each.shape[1:] for each in columns))
    answers = [
        find(*(tf.constant(each[first : first + _BATCH]) for each in columns))
        for first in range(0, len(columns[0]), _BATCH)
    ]
    return [
        np.concatenate([each.numpy() for each in column]) for column in zip(*answers, strict=True)
    ]


def _compiled(read: Callable[..., Any], *shapes: Sequence[int]) -> Any:
    signature = [tf.TensorSpec([None, *shape], tf.int32) for shape in shapes]
    return tf.function(read, input_signature=signature, autograph=False)
