"""Input checks of the exported model's contract, made before a request is batched.

TensorFlow Serving does not compare a request with the shapes of the signature, and an invalid row
can fail or change the rows of other requests in its batch. The embedded server checks first, and
its error names the input or the row.
Window length and vocabulary size come from the loaded signatures. Only this module knows the tensor
names of the contract.
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
    """Return V, the static last dimension of ``probabilities``, or None for another kind of model.

    Args:
        signatures: the SavedModel's SignatureDefs by name.
    """
    default = signatures.get(SERVING_DEFAULT)
    if default is None or PROBABILITIES not in default.outputs or TOKENS not in default.inputs:
        return None
    dims = default.outputs[PROBABILITIES].tensor_shape.dim
    return dims[-1].size if len(dims) == 2 and dims[-1].size > 0 else None


def check_shape(alias: str, info: Any, shape: tuple[int, ...]) -> None:
    """Compare the shape of an input with its signature.

    Args:
        alias: name of the input.
        info: its TensorInfo; without a shape or of unknown rank, every shape is valid.
        shape: shape of the tensor in the request.

    Raises:
        RequestError: INVALID_ARGUMENT: the rank or a known dimension differs.
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
    """Check batch sizes and token values of inputs whose shapes match the signature.

    Args:
        signature: a SignatureDef.
        inputs: arrays of the request by input name.
        vocabulary: V, or None if tokens have no known range.

    Raises:
        RequestError: INVALID_ARGUMENT: the inputs have different batch sizes, or a token is outside
            0..V-1. The message gives the sizes or the row.
    """
    if len(inputs) > 1:
        _check_batch(signature, inputs)
    if vocabulary is not None and TOKENS in inputs:
        _check_range(inputs[TOKENS], vocabulary)


def _check_batch(signature: Any, inputs: Mapping[str, NDArray[Any]]) -> None:
    """Refuse inputs of different batch sizes; the message is that of ComputeTensorBatchSize.

    (batching_util.h.) Signatures with an input or output without a batch dimension are not checked.
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
    # As unsigned integers, negative tokens are large: one comparison finds both.
    wrong = tokens.view(f"u{tokens.itemsize}") >= vocabulary
    if wrong.any():
        row, position = np.argwhere(wrong)[0]
        raise invalid_argument(
            f"row {row} of input {TOKENS} has token {tokens[row, position]} at position "
            f"{position}: tokens must be between 0 and {vocabulary - 1}"
        )
