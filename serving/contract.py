"""What the exported composer promises, checked before a session runs.

TensorFlow Serving does not compare a request with the signature's shape, and an out-of-range token
gets whatever the device's gather does with it. The embedded server says which row is wrong instead.
Window length and vocabulary size come from the loaded signatures; this module is the only one that
knows the names of the contract.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.serving.status import invalid_argument

SERVING_DEFAULT = "serving_default"
TOKENS = "tokens"
PROBABILITIES = "probabilities"


def vocabulary_size(signatures: Mapping[str, Any]) -> int | None:
    """Return V, the static last dimension of ``probabilities``; None for any other model.

    Args:
        signatures: the SavedModel's SignatureDefs by name.
    """
    default = signatures.get(SERVING_DEFAULT)
    if default is None or PROBABILITIES not in default.outputs or TOKENS not in default.inputs:
        return None
    dims = default.outputs[PROBABILITIES].tensor_shape.dim
    return dims[-1].size if len(dims) == 2 and dims[-1].size > 0 else None


def check_inputs(
    signature: Any, inputs: Mapping[str, NDArray[Any]], vocabulary: int | None
) -> None:
    """Compare `inputs` with what `signature` says of them.

    Args:
        signature: a SignatureDef.
        inputs: the request's arrays by input name.
        vocabulary: V, or None where tokens have no known range.

    Raises:
        RequestError: INVALID_ARGUMENT. An input of rank 2 whose second dimension is static has
            another shape, or a token lies outside 0..V-1; the message names shape or row.
    """
    for alias, array in inputs.items():
        dims = signature.inputs[alias].tensor_shape.dim
        if len(dims) != 2 or dims[1].size < 0:
            continue
        if array.ndim != 2 or array.shape[1] != dims[1].size:
            raise invalid_argument(
                f"input {alias} must have shape [batch,{dims[1].size}], "
                f"but has [{','.join(map(str, array.shape))}]"
            )
        if alias == TOKENS and vocabulary is not None:
            _check_range(array, vocabulary)


def _check_range(tokens: NDArray[Any], vocabulary: int) -> None:
    wrong = (tokens < 0) | (tokens >= vocabulary)
    if wrong.any():
        row, position = np.argwhere(wrong)[0]
        raise invalid_argument(
            f"row {row} of input {TOKENS} holds token {tokens[row, position]} at position "
            f"{position}: tokens lie in 0..{vocabulary - 1}"
        )
