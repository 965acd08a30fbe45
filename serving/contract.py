"""What the exported composer promises, checked before a session runs.

TensorFlow Serving does not compare a request with the signature's shapes, and a row that is wrong
may fail or change the rows of other requests in its batch. The embedded server says which input or
row is wrong instead, before anything is batched.
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
UNKNOWN = -1


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


def check_shape(alias: str, info: Any, shape: tuple[int, ...]) -> None:
    """Compare the shape of an input with what its signature says of it.

    Args:
        alias: the input's name.
        info: its TensorInfo; one without a shape, or of unknown rank, allows any.
        shape: as it was sent.

    Raises:
        RequestError: INVALID_ARGUMENT, the rank or a dimension that is known differs.
    """
    declared = info.tensor_shape
    if declared.unknown_rank or not info.HasField("tensor_shape"):
        return
    sizes = tuple(dim.size for dim in declared.dim)
    if len(sizes) == len(shape) and all(
        size in (UNKNOWN, sent) for size, sent in zip(sizes, shape, strict=True)
    ):
        return
    wanted = ["any" if size == UNKNOWN else str(size) for size in sizes]
    if sizes and sizes[0] == UNKNOWN:
        wanted[0] = "batch"
    raise invalid_argument(
        f"input {alias} must have shape [{','.join(wanted)}], but has [{','.join(map(str, shape))}]"
    )


def check_values(
    signature: Any, inputs: Mapping[str, NDArray[Any]], vocabulary: int | None
) -> None:
    """Look for what is wrong with the values of inputs that have the signature's shapes.

    Args:
        signature: a SignatureDef.
        inputs: the request's arrays by input name.
        vocabulary: V, or None where tokens have no known range.

    Raises:
        RequestError: INVALID_ARGUMENT. Inputs whose first dimension is the batch differ in it, or a
            token lies outside 0..V-1; the message names the sizes, or the row.
    """
    if len(inputs) > 1:
        _check_batch(signature, inputs)
    if vocabulary is not None and TOKENS in inputs:
        _check_range(inputs[TOKENS], vocabulary)


def _check_batch(signature: Any, inputs: Mapping[str, NDArray[Any]]) -> None:
    """Refuse inputs of unequal batches, in the words of batching_util.h's ComputeTensorBatchSize.

    A signature with an input or an output that has no batch is left to its graph.
    """
    infos = [*signature.inputs.values(), *signature.outputs.values()]
    if not all(_is_batched(info) for info in infos):
        return
    sizes = {alias: len(array) for alias, array in inputs.items()}
    if len(set(sizes.values())) > 1:
        raise invalid_argument(
            "Batching Run() input tensors must have equal 0th-dimension size, but have "
            + ", ".join(f"{alias} {size}" for alias, size in sizes.items())
        )


def _is_batched(info: Any) -> bool:
    dims = info.tensor_shape.dim
    return bool(dims) and dims[0].size == UNKNOWN


def _check_range(tokens: NDArray[Any], vocabulary: int) -> None:
    if tokens.dtype.kind != "i" or tokens.ndim != 2:
        return
    # Without its sign a negative number is a large one: one comparison finds both.
    wrong = tokens.view(f"u{tokens.itemsize}") >= vocabulary
    if wrong.any():
        row, position = np.argwhere(wrong)[0]
        raise invalid_argument(
            f"row {row} of input {TOKENS} holds token {tokens[row, position]} at position "
            f"{position}: tokens lie in 0..{vocabulary - 1}"
        )
