"""The mixture that is served: a network and what was counted, each as far as a gate believes it.

p(x) = b n(x) + (1 - b) sum over parts k of g_k p_k(x)

where n is the network, p_k says what followed one context in the training songs or one kind of
match in the window, and the gate gives b and g from what is known of the window: how often each
context occurred, how far the window repeats itself, how sure the network is. Each p_k sums to one
and so do the g_k, so the rows sum to one.

The tables are int32 variables, since TensorFlow keeps these in the memory of the host on a machine
with a GPU, where the look-ups run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tunesmith.components.mixture.counting import ContextTable
from tunesmith.components.mixture.evidence import (
    CONTEXTS,
    MATCHES,
    Evidence,
    find_evidence,
    place_weights,
    reach,
)
from tunesmith.components.mixture.gate import Blend, Gate, logits, shares

PARTS = (*CONTEXTS, *MATCHES, "repeat", "unigram", "uniform")
"""The counted parts of the mixture, in the order of the gate's logits: contexts counted in the
training songs, matches in the window, the last frame once more, and two of any context."""

TRAINING_SONGS = np.array([name in (*CONTEXTS, "unigram", "uniform") for name in PARTS])
WINDOW = np.array([name in (*MATCHES, "repeat", "uniform") for name in PARTS])
"""Which parts were counted where; the uniform distribution belongs to both."""


class Found(NamedTuple):
    """The counts and the evidence for some windows.

    Attributes:
        entries: int32 [n, contexts, 3], see
            :class:`tunesmith.components.mixture.counting.ContextTable`.
        evidence: of the windows themselves.
        possible: bool [n, parts], which parts say anything.
        features: float32 [n, features], what the gate sees.
    """

    entries: Any
    evidence: Evidence
    possible: Any
    features: Any


@dataclass(frozen=True)
class Counted:
    """All that is counted and fitted, without the network.

    Args:
        table: of the training songs.
        gate: of the counted parts.
        rests: the token of each part's rest.
    """

    table: ContextTable
    gate: Gate
    rests: tuple[int, ...]


class CountedParts(tf.Module):
    """The counted parts as a graph.

    Args:
        counted: what they were counted and fitted to.
    """

    def __init__(self, counted: Counted) -> None:
        super().__init__(name="counted_parts")
        table = counted.table
        self._rests, self._gate = counted.rests, counted.gate
        self._unigram = table.unigram
        # The last is no context's, as in the entries: a search always ends at a key.
        keys = np.append(table.keys, np.iinfo(np.int64).max)
        self._keys = _host_variable(keys, "keys")
        self._entries = _host_variable(table.entries, "entries")
        self._followers = _host_variable(table.followers, "followers")
        self._counts = _host_variable(table.counts, "counts")

    def find(self, tokens: Any) -> Found:
        """Return the counts and the evidence for windows, int32 [n, w], each token in range."""
        evidence = find_evidence(tokens, self._rests)
        keys = tf.bitcast(tf.reshape(self._keys, [-1, 2]), tf.int64)
        wanted = tf.reshape(evidence.keys, [-1])
        place = tf.raw_ops.LowerBound(sorted_inputs=keys[None], values=wanted[None])[0]
        there = tf.equal(tf.gather(keys, place), wanted)
        entries = tf.gather(self._entries, tf.where(there, place, tf.shape(keys)[0] - 1))
        entries = tf.reshape(entries, [-1, len(CONTEXTS), 3])
        known = tf.cast(entries, tf.float32)
        totals = tf.concat([known[:, :, 2], evidence.totals], axis=1)
        sounded = evidence.followed[:, -1:] >= 0
        possible = tf.concat([totals > 0, sounded, tf.ones_like(sounded)], axis=1)
        possible = tf.concat([possible, possible[:, -1:]], axis=1)
        logs = tf.math.log1p(tf.concat([known[:, :, 2], known[:, :, 1] - known[:, :, 0]], axis=1))
        features = tf.concat([logs, evidence.features], axis=1)
        return Found(entries, evidence, possible, features)

    def shares(self, found: Found, parts: NDArray[np.bool_] | None = None) -> Any:
        """Return the share of each part, float32 [n, parts], rows that sum to one.

        Args:
            found: of the windows.
            parts: bool [parts], of which alone; None for all.
        """
        possible = found.possible if parts is None else tf.logical_and(found.possible, parts)
        return shares(logits(self._gate, found.features), possible)

    def mixed(self, found: Found, share: Any) -> Any:
        """Return the parts mixed, float32 [n, V], rows that sum to one.

        Args:
            found: of the windows.
            share: float32 [n, parts].
        """
        contexts, matches = len(CONTEXTS), len(MATCHES)
        of_contexts, of_matches, repeat, unigram, uniform = tf.split(
            share, [contexts, matches, 1, 1, 1], axis=1
        )
        size = len(self._unigram)
        entries = tf.reshape(found.entries, [-1, 3])
        of_each = tf.math.divide_no_nan(
            tf.reshape(of_contexts, [-1]), tf.cast(entries[:, 2], tf.float32)
        )
        ragged = tf.raw_ops.RaggedRange(
            starts=entries[:, 0], limits=entries[:, 1], deltas=1, Tsplits=tf.int32
        )
        places, ends = ragged.rt_dense_values, ragged.rt_nested_splits[1:]
        context = tf.raw_ops.UpperBound(
            sorted_inputs=ends[None], values=tf.range(tf.size(places))[None]
        )[0]
        counts = tf.cast(tf.gather(self._counts, places), tf.float32)
        first = context // contexts * size
        followed = tf.maximum(found.evidence.followed, 0)
        in_window = tf.concat([place_weights(found.evidence, of_matches), repeat], axis=1)
        # The last token again is what repeats.
        tokens = tf.concat([followed, followed[:, -1:]], axis=1)
        rows = tf.range(tf.shape(tokens)[0])[:, None] * size
        scattered = tf.math.unsorted_segment_sum(
            tf.concat([counts * tf.gather(of_each, context), tf.reshape(in_window, [-1])], axis=0),
            tf.concat(
                [first + tf.gather(self._followers, places), tf.reshape(rows + tokens, [-1])],
                axis=0,
            ),
            tf.shape(tokens)[0] * size,
        )
        base = unigram * self._unigram + uniform / size
        return tf.reshape(scattered, tf.shape(base)) + base


class Mixture(tf.Module):
    """A network mixed with the counted parts, ready to be called inside a tf.function.

    Args:
        network: tokens int32 [n, w] to probabilities float32 [n, V].
        counted: see :class:`CountedParts`.
        blend: how far the network is believed.
        window: w, frames that the network sees.
    """

    def __init__(
        self, network: Callable[[Any], Any], counted: Counted, blend: Blend, window: int
    ) -> None:
        super().__init__(name="mixture")
        self._network, self._blend = network, blend
        self._counted = CountedParts(counted)
        windows = tf.TensorSpec([None, window], tf.int32)
        mixed = tf.function(self._mix, input_signature=[windows], autograph=False)
        # Traced once for all signatures that call it; as an attribute of its own it would be
        # traced and saved once more by tf.saved_model.save.
        self._mixed: Callable[[Any], Any] = lambda tokens: mixed(tokens)

    def __call__(self, tokens: Any) -> Any:
        """Return probabilities, float32 [n, V].

        Args:
            tokens: int32 [n, w], each from 0 up to V.
        """
        return self._mixed(tokens)

    def _mix(self, tokens: Any) -> Any:
        network = self._network(tokens)
        with tf.device("/CPU:0"):
            found = self._counted.find(tokens)
            counted = self._counted.mixed(found, self._counted.shares(found))
            return self._blend.mix(network, counted, reach(found.evidence))

    def parts(self, tokens: Any) -> dict[str, Any]:
        """Return what the parts say alone, float32 [n, V] each.

        ``network``; ``training_songs``, what was counted there, and ``window``, what the window
        says, each by the gate's shares scaled to sum to one.

        Args:
            tokens: see :meth:`__call__`.
        """
        network = self._network(tokens)
        with tf.device("/CPU:0"):
            found = self._counted.find(tokens)
            return {
                "network": tf.identity(network),
                "training_songs": self._counted.mixed(
                    found, self._counted.shares(found, TRAINING_SONGS)
                ),
                "window": self._counted.mixed(found, self._counted.shares(found, WINDOW)),
            }


def _host_variable(values: NDArray[Any], name: str) -> tf.Variable:
    """Return numbers of 32 or 64 bits as an int32 variable."""
    flat = np.ascontiguousarray(values)
    with tf.device("/CPU:0"):
        return tf.Variable(flat.view(np.int32), trainable=False, name=name)
