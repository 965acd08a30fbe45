"""The evidence in a window: the contexts that it ends with, and its repetitions.

Two kinds of evidence are taken from a window, in stock TensorFlow operations alone:

- *contexts*, by which the counts of the training songs are looked up: the last frames as they are
  (``frames``), as runs of equal frames with their lengths (``runs``), and as runs without their
  lengths (``changes``). A run is a note or chord that is held, so that four runs reach far further
  back than four frames.
- *matches*, the places inside the window where it went the same way before; what followed there is
  the evidence. This is the short-term model of Conklin and Witten 1995, "Multiple viewpoint systems
  for music prediction", and of Pearce and Wiggins 2004, "Improved methods for statistical modelling
  of monophonic music".

Rests before the first sounding frame of a window are padding, not music, and are no evidence:
counted as such, songs dwell in silence.

Here n is the batch, w the window and p = w - 1 the places: place i stands for what token i + 1 of
the window is. A window of one frame is taken as one of two that begins with a rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Floats = NDArray[np.float32]

FRAMES, RUNS = 4, 4
"""Frames, and runs, that a context looks back at most."""

LONGEST_RUN = 24
"""Frames from which on runs count as equally long; 4.8 s at 5 frames a second."""

_LENGTHS = (
    *[("frames", number) for number in range(1, FRAMES + 1)],
    *[("runs", number) for number in (2, 3, 4, 5, 6, 8)],
    *[("changes", number) for number in (2, 3, 4)],
)
KINDS = tuple(f"{kind} {number}" for kind, number in _LENGTHS)
"""Contexts of the training songs that are counted besides the empty one. Of ``runs``, the number
counts tokens and lengths alternately: 3 is the run under way, its length so far, and the token
before it."""

CONTEXTS = (*KINDS, *(f"{kind}, all keys" for kind in KINDS))
"""Each of them in the songs as they are, and in the songs transposed to all twelve keys."""

COLUMNS = FRAMES + 2 * RUNS
"""Columns of the contexts: the last frames, and the last runs' tokens and lengths."""

TOKEN_COLUMNS = FRAMES + RUNS
"""Number of the columns that are tokens; they come first."""

ORDERS = (0, 1, 2, 3, 4, 5, 6, 8, 12, 16)
"""Frames that have to be equal before a place of the window for it to be a match of that order."""

RECENT = (0, 1, 3)
"""Orders of which there is a second part that believes recent places more."""

DECAY = 0.93
"""Decay of a place's weight per frame of its age, in these parts."""

_RELATED = (
    ("token", "length"),
    ("token", "length", "token before"),
    ("token", "length", "token before", "length before"),
    ("token", "token before"),
    ("length",),
    ("length", "length before"),
)
"""In which places the run under way is like the last one: it has the same of all of these."""

_RUN_MATCHES = 4
"""Number of them that are parts of the mixture; the others only say when runs end."""

MATCHES = (
    *[f"window {order}" for order in ORDERS],
    *[f"recent {order}" for order in RECENT],
    *[f"window {', '.join(related)}" for related in _RELATED[:_RUN_MATCHES]],
)
"""Matches inside the window, in the order of their columns."""

WINDOW_FEATURES = len(ORDERS) + len(_RELATED) + 8
"""See :attr:`Evidence.features`."""

_PLACES = len(ORDERS) + len(_RELATED)


class Evidence(NamedTuple):
    """The evidence in windows.

    Attributes:
        keys: int64 [n, contexts], what each of :data:`CONTEXTS` is looked up by.
        followed: int32 [n, p], the token at each place; -1 for padding.
        kinds: float32 [n, p, kinds], 1 where a place is a match of one kind, else 0.
        totals: float32 [n, matches], how much all places count together for each of
            :data:`MATCHES`; 0 where there is no place.
        features: float32 [n, WINDOW_FEATURES], what the gate sees of a window: how many matches
            there are and how far they reach, how long this run is and whether runs like it ended,
            how often the window changes, and how much of it is padding.
    """

    keys: Any
    followed: Any
    kinds: Any
    totals: Any
    features: Any


def _multipliers() -> NDArray[np.int64]:
    """Return what a context's key multiplies each column with, int64 [columns + 1, contexts].

    A column that a context does not look at has 0. The last is the context's own constant.
    """
    table = np.zeros((COLUMNS + 1, len(CONTEXTS)), np.uint64)
    for context in range(len(CONTEXTS)):
        kind, number = _LENGTHS[context % len(_LENGTHS)]
        tokens, lengths = range(FRAMES, FRAMES + RUNS), range(FRAMES + RUNS, FRAMES + 2 * RUNS)
        runs = [column for pair in zip(tokens, lengths, strict=True) for column in pair]
        columns = {"frames": range(FRAMES), "runs": runs, "changes": tokens}[kind]
        for column in (*columns[:number], len(table) - 1):
            digest = hashlib.blake2b(f"{context} {column}".encode(), digest_size=8).digest()
            table[column, context] = int.from_bytes(digest, "little") | 1
    return table.view(np.int64)


def _kinds_of_places() -> tuple[Floats, Floats]:
    """Return which conditions each kind of place needs, float32 [conditions, kinds], and how many.

    The conditions are: a token follows, it is in a run, the last 16 frames are equal one by one,
    and each of what :data:`_RELATED` names.
    """
    longest = max(ORDERS)
    names = ("token", "length", "token before", "length before")
    needed = np.zeros((2 + longest + len(names), _PLACES), np.float32)
    for kind, order in enumerate(ORDERS):
        needed[0, kind] = 1
        needed[2 : 2 + order, kind] = 1
    for kind, related in enumerate(_RELATED, start=len(ORDERS)):
        needed[1, kind] = 1
        needed[[2 + longest + names.index(name) for name in related], kind] = 1
    return needed, needed.sum(axis=0)


def _columns_of_matches() -> Floats:
    """Return 1 where a match is a kind of place, float32 [matches, 2 x kinds]: plain, then aged."""
    plain = [*range(len(ORDERS)), *range(len(ORDERS), len(ORDERS) + _RUN_MATCHES)]
    aged = [_PLACES + ORDERS.index(order) for order in RECENT]
    columns = plain[: len(ORDERS)] + aged + plain[len(ORDERS) :]
    return np.eye(2 * _PLACES, dtype=np.float32)[columns]


MULTIPLIERS = _multipliers()
"""See :func:`_keys`."""

_NEEDED, _NUMBER_NEEDED = _kinds_of_places()
_COLUMNS = _columns_of_matches()


class _Runs(NamedTuple):
    """The runs of equal tokens in windows; padding is one, with the token -1.

    Attributes:
        seen: int32 [n, w], the tokens; -1 for padding.
        changes: bool [n, w], where a run begins; the window's first frame begins one.
        length: float32 [n, w], frames of the run so far.
        tokens: float32 [n, RUNS], the tokens of the last runs, the last one first; -1 for none.
        lengths: float32 [n, RUNS], their frames, at most :data:`LONGEST_RUN`; 0 for none.
    """

    seen: Any
    changes: Any
    length: Any
    tokens: Any
    lengths: Any


def find_columns(tokens: Any, rests: Sequence[int]) -> Any:
    """Return what the contexts of windows are made of, int32 [n, COLUMNS].

    The last frames, the last one first; the tokens of the last runs; and their lengths. A token is
    -1 where there is none, or padding.

    Args:
        tokens: int32 [n, w], each in range.
        rests: the token of each part's rest.
    """
    return _columns(_runs(tokens, rests))


def find_evidence(tokens: Any, rests: Sequence[int]) -> Evidence:
    """Return the evidence in windows.

    Args:
        tokens: int32 [n, w], each in range.
        rests: the token of each part's rest.
    """
    runs = _runs(tokens, rests)
    kinds = _kinds(runs)
    # Of all places, and of all places by their age: one product each.
    sums = tf.reshape(tf.matmul(_ages(int(kinds.shape[1])), kinds), [-1, 2 * _PLACES])
    totals = tf.matmul(sums, _COLUMNS, transpose_b=True)
    followed = runs.seen[:, 1:]
    return Evidence(_keys(runs), followed, kinds, totals, _features(runs, kinds, sums[:, :_PLACES]))


def place_weights(evidence: Evidence, shares: Any) -> Any:
    """Return how probable the token of each place becomes, float32 [n, p].

    Args:
        evidence: of the windows.
        shares: float32 [n, matches], of each match in the mixture; 0 where its total is.
    """
    places = int(evidence.followed.shape[1])
    of_kinds = tf.matmul(tf.math.divide_no_nan(shares, evidence.totals), _COLUMNS)
    of_kinds = tf.reshape(of_kinds, [-1, 2, _PLACES])
    weights = tf.matmul(evidence.kinds, of_kinds, transpose_b=True)
    return tf.reduce_sum(weights * _ages(places).T, axis=2)


def probabilities_of(evidence: Evidence, targets: Any) -> Any:
    """Return what each match says of the token that followed, float32 [n, matches].

    Args:
        evidence: of the windows.
        targets: int32 [n].
    """
    places = int(evidence.followed.shape[1])
    hit = tf.cast(tf.equal(evidence.followed, targets[:, None]), tf.float32)
    sums = tf.matmul(hit[:, None] * _ages(places), evidence.kinds)
    said = tf.matmul(tf.reshape(sums, [-1, 2 * _PLACES]), _COLUMNS, transpose_b=True)
    return tf.math.divide_no_nan(said, evidence.totals)


def reach(evidence: Evidence) -> Any:
    """Return float32 [n, 3]: how many orders match, how often a window changes, and its padding."""
    matched = WINDOW_FEATURES - 5
    return tf.gather(evidence.features, [matched, WINDOW_FEATURES - 2, WINDOW_FEATURES - 1], axis=1)


def _ages(places: int) -> Floats:
    """Return how much a place counts, float32 [2, p]: all alike, and by age."""
    age = np.float32(DECAY) ** np.arange(places - 1, -1, -1, dtype=np.float32)
    return np.stack([np.ones_like(age), age])


def _runs(tokens: Any, rests: Sequence[int]) -> _Runs:
    if int(tokens.shape[1]) == 1:
        # A place has a frame before it.
        tokens = tf.pad(tokens, [[0, 0], [1, 0]], constant_values=rests[0])
    window = int(tokens.shape[1])
    rest = tf.equal(tokens, rests[0])
    for other in rests[1:]:
        rest = tf.logical_or(rest, tf.equal(tokens, other))
    sounded = tf.cumsum(tf.cast(tf.logical_not(rest), tf.int32), axis=1) > 0
    seen = tf.where(sounded, tokens, -1)
    before = tf.pad(seen[:, :-1], [[0, 0], [1, 0]], constant_values=-2)
    changes = tf.not_equal(seen, before)
    number = tf.cumsum(tf.cast(changes, tf.int32), axis=1)
    same = tf.equal(number[:, :, None], number[:, None])
    until = np.tril(np.ones((window, window), np.float32))
    length = tf.reduce_sum(tf.cast(same, tf.float32) * until, axis=2)
    back = number[:, -1:] - number
    in_run = tf.cast(tf.equal(back[:, :, None], np.arange(RUNS, dtype=np.int32)), tf.float32)
    known = tf.cast(sounded, tf.float32)
    named = tf.where(changes, tf.cast(seen, tf.float32) + 1, tf.zeros_like(known))
    last = tf.matmul(tf.stack([named, known], axis=1), in_run)
    return _Runs(seen, changes, length, last[:, 0] - 1, tf.minimum(last[:, 1], LONGEST_RUN))


def _keys(runs: _Runs) -> Any:
    """Return the keys of the contexts, int64 [n, contexts].

    A key is a sum of the context's tokens and lengths, each times an odd number of 64 bits, modulo
    2 ** 64 (multiplicative hashing, Knuth 1973, section 6.4): two different contexts of a corpus of
    a million have one key with a probability of about 1e-7.
    """
    columns = tf.cast(_columns(runs), tf.int64)
    return tf.matmul(columns, MULTIPLIERS[:-1]) + MULTIPLIERS[-1]


def _columns(runs: _Runs) -> Any:
    last = tf.cast(tf.concat([runs.tokens, runs.lengths], axis=1), tf.int32)
    # Frames before a window that is shorter than a context are like padding.
    missing = max(0, FRAMES - int(runs.seen.shape[1]))
    frames = tf.pad(runs.seen[:, : -FRAMES - 1 : -1], [[0, 0], [0, missing]], constant_values=-1)
    return tf.concat([frames, last], axis=1)


def _kinds(runs: _Runs) -> Any:
    """Return of which kinds each place is, float32 [n, p, kinds]."""
    seen, length = runs.seen, runs.length
    window = int(seen.shape[1])
    longest = max(ORDERS)
    # Padding is like no other padding.
    last = tf.where(seen < 0, -3, seen)
    ahead = tf.pad(seen, [[0, 0], [longest - 1, 0]], constant_values=-2)
    frames = np.arange(window - 1)[:, None] + longest - 1 - np.arange(longest)
    end = tf.pad(last, [[0, 0], [max(longest - window, 0), 0]], constant_values=-3)
    equal = tf.equal(tf.gather(ahead, frames, axis=1), end[:, None, : -longest - 1 : -1])
    run = tf.stack([tf.cast(seen, tf.float32), length], axis=2)
    begun = np.arange(1, window + 1, dtype=np.int32) - tf.cast(length, tf.int32)
    in_front = tf.gather(
        tf.pad(run, [[0, 0], [1, 0], [0, 0]], constant_values=-1), begun, batch_dims=1
    )
    run = tf.concat([run, in_front], axis=2)
    of_last = tf.concat([tf.cast(last[:, -1:, None], tf.float32), run[:, -1:, 1:]], axis=2)
    like = tf.equal(run[:, :-1], of_last)
    met = tf.concat([seen[:, 1:, None] >= 0, seen[:, :-1, None] >= 0, equal, like], axis=2)
    number = tf.reshape(tf.cast(met, tf.float32), [-1, len(_NEEDED)])
    found = tf.equal(tf.matmul(number, _NEEDED), _NUMBER_NEEDED)
    return tf.reshape(tf.cast(found, tf.float32), [-1, window - 1, _PLACES])


def _features(runs: _Runs, kinds: Any, counts: Any) -> Any:
    """Return :attr:`Evidence.features`."""
    orders = len(ORDERS)
    changed = tf.cast(runs.changes[:, 1:], tf.float32)[:, None]
    ended = tf.matmul(changed, kinds[:, :, orders:])[:, 0]
    like, at = counts[:, orders:], [0, _RUN_MATCHES, _RUN_MATCHES + 1]
    odds = tf.math.log((ended + 0.5) / (like - ended + 0.5))
    real = tf.cast(runs.seen >= 0, tf.float32)
    found = tf.cast(counts[:, :orders] > 0, tf.float32)
    return tf.concat(
        [
            tf.math.log1p(counts),
            tf.gather(odds, at, axis=1),
            tf.reduce_sum(found, axis=1, keepdims=True),
            tf.math.log(runs.length[:, -1:]),
            tf.math.log1p(runs.lengths[:, 1:2]),
            tf.matmul(changed, real[:, :-1, None])[:, 0] / 10,
            tf.reduce_sum(1 - real, axis=1, keepdims=True) / 10,
        ],
        axis=1,
    )
