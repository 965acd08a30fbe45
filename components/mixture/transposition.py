"""Tokens in other keys, by their names."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_PART = re.compile(r"\A[^:]*:")
_PITCH = re.compile(r"\d+")

ALL_KEYS = (0, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6)
"""Semitones up to each key, the song's own first."""

UNKNOWN = -1


def transposed(names: Sequence[str], semitones: int) -> NDArray[np.int64]:
    """Return the token of each token's frame in another key, int64 [V].

    :data:`UNKNOWN` where the vocabulary lacks that frame. The names are those of any encoding: the
    numbers in them, behind the part's name, are pitches.

    Args:
        names: of the tokens.
        semitones: upwards.
    """
    tokens = {name: token for token, name in enumerate(names)}

    def shifted(name: str) -> str:
        part = _PART.match(name)
        first = part.end() if part else 0
        pitches = _PITCH.sub(lambda found: str(int(found[0]) + semitones), name[first:])
        return name[:first] + pitches

    return np.array([tokens.get(shifted(name), UNKNOWN) for name in names], np.int64)
