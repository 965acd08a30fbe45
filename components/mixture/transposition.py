"""Tokens in other keys, as far as the vocabulary has their frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.encodings.names import KEYS, shifted

ALL_KEYS = (0, *(each for each in KEYS if each))
"""Semitones up to each key, the song's own first."""

UNKNOWN = -1


def transposed(names: Sequence[str], semitones: int) -> NDArray[np.int64]:
    """Return the token of each token's frame in another key, int64 [V].

    :data:`UNKNOWN` where the vocabulary lacks that frame.

    Args:
        names: of the tokens.
        semitones: upwards.
    """
    tokens = {name: token for token, name in enumerate(names)}
    return np.array([tokens.get(shifted(name, semitones), UNKNOWN) for name in names], np.int64)
