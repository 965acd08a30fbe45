"""Request batching with TensorFlow's own batching kernel.

The subgraph of a signature is copied into a function, and a ``BatchFunction`` operation that calls
the function is added to the same graph. The kernel concatenates the inputs of concurrent session
calls, computes them as one batch and splits the result; each caller gets its own rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.serving.batching_parameters import BatchingParameters
from tunesmith.serving.runtime import tf
from tunesmith.serving.status import invalid_argument

_UNKNOWN = -1


@dataclass(frozen=True)
class BatchedSignature:
    """Tensors of a signature that is computed through the batching kernel.

    Attributes:
        feeds: name of the tensor to feed, by input.
        fetches: name of the tensor to fetch, by output.
        row_shapes: shape of one row, by input.
        outputs: numpy dtype and shape of one row, by output.
    """

    feeds: Mapping[str, str]
    fetches: Mapping[str, str]
    row_shapes: Mapping[str, tuple[int, ...]]
    outputs: Mapping[str, tuple[Any, tuple[int, ...]]]

    def takes(self, inputs: Mapping[str, NDArray[Any]]) -> bool:
        """Return whether these rows can be batched with rows of other requests.

        Requests of another row shape are computed without batching, so that an error in them does
        not fail other requests.
        """
        return all(
            array.ndim > 0 and array.shape[1:] == self.row_shapes[alias]
            for alias, array in inputs.items()
        )

    def rows(self, inputs: Mapping[str, NDArray[Any]]) -> int:
        """Return the number of rows of a request.

        Raises:
            RequestError: INVALID_ARGUMENT: the inputs have different numbers of rows.
        """
        sizes = {len(array) for array in inputs.values()}
        if len(sizes) > 1:
            # batching_util.h, ComputeTensorBatchSize.
            raise invalid_argument(
                "Batching Run() input tensors must have equal 0th-dimension size"
            )
        return sizes.pop()

    def no_rows(self, outputs: tuple[str, ...]) -> list[NDArray[Any]]:
        """Return the answer to a request with no rows.

        The kernel would drop the other dimensions, and TensorFlow Serving never answers.
        """
        rows = (self.outputs[alias] for alias in outputs)
        return [np.empty((0, *shape), dtype) for dtype, shape in rows]


def batchable(signature: Any) -> bool:
    """Return whether requests for `signature`, a SignatureDef, can be batched.

    The first dimension of every input and output must be unknown (the batch), the others known:
    rows of different shapes cannot be concatenated. An output whose row length depends on the other
    rows (the composer's ``generate``) would differ from that of an unbatched request.
    """
    infos = [*signature.inputs.values(), *signature.outputs.values()]
    return (
        bool(signature.inputs)
        and bool(signature.outputs)
        and all(info.WhichOneof("encoding") == "name" for info in infos)
        and all(_sizes(info)[:1] == (_UNKNOWN,) for info in infos)
        and all(_UNKNOWN not in _sizes(info)[1:] for info in infos)
    )


def _sizes(info: Any) -> tuple[int, ...]:
    """Return the dimensions of a TensorInfo; empty if its rank is unknown."""
    if info.tensor_shape.unknown_rank:
        return ()
    return tuple(dim.size for dim in info.tensor_shape.dim)


def add_batched(
    graph: Any,
    signatures: Mapping[str, Any],
    parameters: BatchingParameters,
    *,
    capture_variables: bool,
) -> dict[str, BatchedSignature]:
    """Add a batching kernel for every signature that can be batched.

    Args:
        graph: the loaded graph of the session; operations are added to it.
        signatures: SignatureDefs by name.
        parameters: parameters of the kernel.
        capture_variables: pass the variables to the function as captured inputs, which records
            their device. False looks them up by name, which saves some microseconds a call.

    Returns:
        The batched signatures by name, without those that cannot be batched.
    """
    definition = graph.as_graph_def()
    batched = {}
    with graph.as_default():
        for name, signature in signatures.items():
            if not batchable(signature):
                continue
            outputs = {each.name.split(":")[0] for each in signature.outputs.values()}
            part = tf.compat.v1.graph_util.extract_sub_graph(definition, sorted(outputs))
            # The session's graph already has the functions that the subgraph calls.
            part.ClearField("library")
            if _has_reference_variables(graph, part):
                continue
            batched[name] = _add(graph, name, signature, part, parameters, capture_variables)
    return batched


def _has_reference_variables(graph: Any, part: Any) -> bool:
    """Return whether `part` of `graph` has reference variables, which functions do not support."""
    return any(
        output.dtype._is_ref_dtype
        for node in part.node
        for output in graph.get_operation_by_name(node.name).outputs
    )


def _add(
    graph: Any,
    name: str,
    signature: Any,
    part: Any,
    parameters: BatchingParameters,
    capture_variables: bool,
) -> BatchedSignature:
    inputs, outputs = sorted(signature.inputs), sorted(signature.outputs)
    specs = [_spec(signature.inputs[alias]) for alias in inputs]
    names = [signature.inputs[alias].name for alias in inputs]
    present = {node.name for node in part.node}
    resources = _resources(graph, part, capture_variables)

    def compute(*rows: Any) -> Any:
        inside = tf.compat.v1.get_default_graph()
        given = {resource.name: inside.capture(resource) for resource in resources}
        given |= {
            each: row
            for each, row in zip(names, rows, strict=True)
            if each.split(":")[0] in present
        }
        return tf.graph_util.import_graph_def(
            part,
            input_map=given,
            return_elements=[signature.outputs[alias].name for alias in outputs],
            name="",
        )

    function = tf.function(compute, autograph=False).get_concrete_function(*specs)
    with graph.name_scope(f"batched_{name}"):
        fed = [tf.compat.v1.placeholder(spec.dtype, spec.shape) for spec in specs]
        splitting = parameters.enable_large_batch_splitting
        answers = tf.raw_ops.BatchFunction(
            in_tensors=fed,
            captured_tensors=function.captured_inputs,
            f=function,
            Tout=[output.dtype for output in function.outputs],
            num_batch_threads=parameters.num_batch_threads,
            max_batch_size=parameters.max_batch_size,
            batch_timeout_micros=parameters.batch_timeout_micros,
            max_enqueued_batches=parameters.max_enqueued_batches,
            allowed_batch_sizes=_allowed_sizes(parameters),
            enable_large_batch_splitting=splitting,
        )
    return BatchedSignature(
        feeds={alias: tensor.name for alias, tensor in zip(inputs, fed, strict=True)},
        fetches={alias: tensor.name for alias, tensor in zip(outputs, answers, strict=True)},
        row_shapes={alias: _sizes(signature.inputs[alias])[1:] for alias in inputs},
        outputs={alias: _row(signature.outputs[alias]) for alias in outputs},
    )


def _resources(graph: Any, part: Any, capture_variables: bool) -> list[Any]:
    """Return the resources to pass to a function: lookup tables, and variables if asked for.

    Without `capture_variables`, the function finds a variable by its shared name.
    """
    return [
        output
        for node in part.node
        if capture_variables or node.op != "VarHandleOp" or not node.attr["shared_name"].s
        for output in graph.get_operation_by_name(node.name).outputs
        if output.dtype == tf.resource and not node.input
    ]


def _allowed_sizes(parameters: BatchingParameters) -> list[int]:
    """Return ``allowed_batch_sizes`` for the kernel; the last one is the largest batch size."""
    largest = parameters.execution_batch_size
    sizes = [size for size in parameters.allowed_batch_sizes if size < largest]
    if parameters.allowed_batch_sizes:
        return [*sizes, largest]
    # All sizes are allowed, so that batches are not padded.
    return list(range(1, largest + 1)) if largest != parameters.max_batch_size else []


def _spec(info: Any) -> Any:
    shape = [None, *_sizes(info)[1:]]
    return tf.TensorSpec(shape, tf.dtypes.as_dtype(info.dtype))


def _row(info: Any) -> tuple[Any, tuple[int, ...]]:
    dtype = tf.dtypes.as_dtype(info.dtype).as_numpy_dtype
    return dtype, _sizes(info)[1:]
