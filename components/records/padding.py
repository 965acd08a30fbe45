"""The rests that stand before a song's first frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def padding(rests: Sequence[int], length: int) -> NDArray[np.int32]:
    """Return `length` tokens of silence, int32 [length], that end with a whole frame.

    Args:
        rests: the token of each part's rest.
        length: tokens.
    """
    parts = len(rests)
    frames = -(-length // parts)
    return np.resize(np.array(rests, np.int32), frames * parts)[frames * parts - length :]
