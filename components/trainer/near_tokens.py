"""The nearest known frame of a frame, by names: each number in a name is a pitch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.encodings.encoding import TokenVocabulary
from tunesmith.components.encodings.names import pitches_in

_PITCHES = 160
"""Number of pitches; more than MIDI has, because a transposed frame may exceed its range."""


def sounding_pitches(names: list[str]) -> NDArray[np.float32]:
    """Return the sounding pitches of the frames of these names, 0 or 1, float32 [names, 160]."""
    found = np.zeros((len(names), _PITCHES), np.float32)
    for row, name in enumerate(names):
        found[row, [pitch for pitch in pitches_in(name) if pitch < _PITCHES]] = 1
    return found


def overlaps(known: NDArray[np.float32], wanted: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the Jaccard index of frames, float32 [n, 160], with one, [160]; 0 with a rest."""
    common: NDArray[np.float32] = known @ wanted
    either = known.sum(axis=1) + wanted.sum() - common
    return common / np.maximum(either, 1)


def nearest_known(vocabulary: TokenVocabulary, known: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the nearest known token of each token, int32 [V].

    A known token is its own nearest. For others it is the known sounding token of the same part
    with the largest overlap, and of equal ones the most frequent, as in
    :meth:`tunesmith.music.Vocabulary.encode`. Tokens of a part without known tokens are unchanged.

    Args:
        vocabulary: the tokens.
        known: bool [V].
    """
    table = np.arange(len(vocabulary), dtype=np.int32)
    for part in vocabulary.ranges:
        tokens = np.array(part)
        pitches = sounding_pitches([vocabulary.names[token] for token in part])
        others = np.flatnonzero(known[tokens] & (pitches.sum(axis=1) > 0))
        if not len(others):
            continue
        for row in np.flatnonzero(~known[tokens] & (pitches.sum(axis=1) > 0)):
            nearest = others[overlaps(pitches[others], pitches[row]).argmax()]
            table[tokens[row]] = tokens[nearest]
    return table
