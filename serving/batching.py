"""Signatures whose requests are computed together, by TensorFlow's own batching kernel.

A signature's part of the graph is copied into a function, and an operation ``BatchFunction`` that
calls it is put beside the original in the same graph. Calls of the session that reach the operation
at the same time are joined, computed and taken apart again in C++; each caller gets its own rows.
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
    """A signature's way into the graph through the batching kernel.

    Attributes:
        feeds: the name of the tensor to feed, by input.
        fetches: the name of the tensor to fetch, by output.
        row_shapes: the shape of one row, by input.
        outputs: numpy dtype and shape of one row, by output.
    """

    feeds: Mapping[str, str]
    fetches: Mapping[str, str]
    row_shapes: Mapping[str, tuple[int, ...]]
    outputs: Mapping[str, tuple[Any, tuple[int, ...]]]

    def takes(self, inputs: Mapping[str, NDArray[Any]]) -> bool:
        """Return whether these rows can be joined with those of other requests.

        Others are left to the graph itself, where they can fail nobody but themselves.
        """
        return all(
            array.ndim > 0 and array.shape[1:] == self.row_shapes[alias]
            for alias, array in inputs.items()
        )

    def rows(self, inputs: Mapping[str, NDArray[Any]]) -> int:
        """Return how many rows a request has.

        Raises:
            RequestError: INVALID_ARGUMENT, its inputs disagree.
        """
        sizes = {len(array) for array in inputs.values()}
        if len(sizes) > 1:
            # batching_util.h, ComputeTensorBatchSize.
            raise invalid_argument(
                "Batching Run() input tensors must have equal 0th-dimension size"
            )
        return sizes.pop()

    def no_rows(self, outputs: tuple[str, ...]) -> list[NDArray[Any]]:
        """Return the answer to a request of no rows.

        The kernel forgets the other dimensions, and TensorFlow Serving's never answers.
        """
        rows = (self.outputs[alias] for alias in outputs)
        return [np.empty((0, *shape), dtype) for dtype, shape in rows]


def batchable(signature: Any) -> bool:
    """Return whether requests for `signature`, a SignatureDef, can be computed together.

    The first dimension of every input and output has to be the batch, that is unknown, and the
    others known: rows of different shapes cannot be joined, and an output whose rows grow with
    those beside them (the composer's ``generate``) would not be what its caller gets alone.
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
    """Return a TensorInfo's dimensions, none where not even their number is known."""
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
    """Put the batching kernel before every signature that allows it.

    Args:
        graph: the session's graph, loaded; it grows.
        signatures: SignatureDefs by name.
        parameters: the kernel's.
        capture_variables: hand the variables in, which says what device they lie on, instead of
            finding them by name, which saves a call some microseconds.

    Returns:
        The batched signatures by name; one that cannot be batched is left out.
    """
    definition = graph.as_graph_def()
    batched = {}
    with graph.as_default():
        for name, signature in signatures.items():
            if not batchable(signature):
                continue
            outputs = {each.name.split(":")[0] for each in signature.outputs.values()}
            part = tf.compat.v1.graph_util.extract_sub_graph(definition, sorted(outputs))
            # The functions that it calls are in the session's graph already.
            part.ClearField("library")
            if _by_reference(graph, part):
                continue
            batched[name] = _add(graph, name, signature, part, parameters, capture_variables)
    return batched


def _by_reference(graph: Any, part: Any) -> bool:
    """Return whether `part` of `graph` has variables of the oldest kind, unknown to functions."""
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
    """Return the resources that a function is handed: tables always, variables if told to.

    A variable that has a name is found by it wherever the operation stands.
    """
    return [
        output
        for node in part.node
        if capture_variables or node.op != "VarHandleOp" or not node.attr["shared_name"].s
        for output in graph.get_operation_by_name(node.name).outputs
        if output.dtype == tf.resource and not node.input
    ]


def _allowed_sizes(parameters: BatchingParameters) -> list[int]:
    """Return the kernel's ``allowed_batch_sizes``, whose last entry limits the size of a batch."""
    largest = parameters.execution_batch_size
    sizes = [size for size in parameters.allowed_batch_sizes if size < largest]
    if parameters.allowed_batch_sizes:
        return [*sizes, largest]
    # Every size is allowed, so that nothing is padded.
    return list(range(1, largest + 1)) if largest != parameters.max_batch_size else []


def _spec(info: Any) -> Any:
    shape = [None, *_sizes(info)[1:]]
    return tf.TensorSpec(shape, tf.dtypes.as_dtype(info.dtype))


def _row(info: Any) -> tuple[Any, tuple[int, ...]]:
    dtype = tf.dtypes.as_dtype(info.dtype).as_numpy_dtype
    return dtype, _sizes(info)[1:]
