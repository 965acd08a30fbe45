"""A sampling filter of one's own: frames of the last eight become less probable.

Their probabilities are divided by a penalty (after Keskar et al. 2019, arXiv 1909.05858, section
4.1, which divides logits instead).

tunesmith generate --plugin-path docs/examples --filter repetition_penalty:Penalty=1.5
"""

import numpy as np

from tunesmith.client.filters import Rows, Windows

LAST = 8


class Penalty:
    def __init__(self, penalty: float = 1.2) -> None:
        if penalty < 1:
            raise ValueError("the penalty must be at least 1")
        self.penalty = penalty

    def __call__(self, rows: Rows, windows: Windows) -> Rows:
        recent = np.zeros(rows.shape, dtype=bool)
        np.put_along_axis(recent, windows[:, -LAST:], True, axis=1)
        return np.where(recent, rows / self.penalty, rows)
