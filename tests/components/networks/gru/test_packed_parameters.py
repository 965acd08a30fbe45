"""GRU layers packed for cuDNN, and read back out of the packed vector."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.components.networks.gru.cudnn_graph import packed_parameters, unpacked_parameters


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("layers", [1, 3])
def test_what_was_packed_is_read_back_bit_for_bit(layers: int, directions: int) -> None:
    random, units, width = np.random.default_rng(0), 5, 7
    packed_from = []
    for layer in range(layers):
        below = directions * units if layer else width
        for _ in range(directions):
            shapes = ((below, 3 * units), (units, 3 * units), (2, 3 * units))
            kernel, recurrent, bias = (random.normal(size=s).astype(np.float32) for s in shapes)
            packed_from.append((kernel, recurrent, bias))
    packed = packed_parameters(packed_from)
    found = unpacked_parameters(packed, layers, units, width, directions)
    for one, other in zip(found, packed_from, strict=True):
        for array, expected in zip(one, other, strict=True):
            np.testing.assert_array_equal(array, expected)
    with pytest.raises(ValueError, match="parameters, not"):
        unpacked_parameters(packed[1:], layers, units, width, directions)
