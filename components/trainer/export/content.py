"""``content.json``: digests of the computation of a SavedModel.

TensorFlow does not write equal models as equal bytes: function numbers, the order of nodes and its
version differ. So the digests are taken over the structure: a node counts by its operation,
attributes and inputs, a function by its nodes, a variable by its value, independent of names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tensorflow.core.framework import attr_value_pb2, function_pb2, graph_pb2, node_def_pb2
    from tensorflow.core.protobuf import meta_graph_pb2

CONTENT_FILE = "content.json"
"""In the TrainedModel artifact, beside ``saved_model``."""

_NOT_CONTENT = frozenset({"config_proto", "_class", "_gradient_op_type"})
"""Attributes of a node that name devices of the machine or count through the process."""

_WARMUP = "assets.extra/tf_serving_warmup_requests"


def write_content(model: Path) -> None:
    """Write :data:`CONTENT_FILE` of the TrainedModel in the folder `model`.

    Raises:
        OSError: the SavedModel cannot be read, or the file not be written.
    """
    content = json.dumps(saved_model_content(model / "saved_model"), indent=2, sort_keys=True)
    (model / CONTENT_FILE).write_text(content, encoding="utf-8")


def saved_model_content(directory: Path) -> dict[str, Any]:
    """Return the digests of a SavedModel.

    ``signatures`` by name: vocabulary, settings and n-gram are constants in them, the weights are
    variables that count by their values. ``weights``: all variables that a signature reads, in any
    order. ``warmup``: the warm-up requests.
    """
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString((directory / "saved_model.pb").read_bytes())
    (meta,) = saved.meta_graphs
    reader = tf.train.load_checkpoint(str(directory / "variables" / "variables"))
    weights = {
        name: _digest(value.dtype.str, value.shape, value.tobytes())
        for name in reader.get_variable_to_shape_map()
        # It has names of functions; nothing is restored from it but through the graph.
        if name != "_CHECKPOINTABLE_OBJECT_GRAPH" and (value := reader.get_tensor(name)) is not None
    }
    variables = _restored(meta, weights)
    graph = _Nodes(meta.graph_def.node, _Functions(meta.graph_def.library), variables)
    return {
        "signatures": {
            name: _signature_digest(signature, graph)
            for name, signature in meta.signature_def.items()
        },
        "weights": _digest(sorted(variables[name] for name in graph.visited & variables.keys())),
        "warmup": hashlib.blake2b((directory / _WARMUP).read_bytes(), digest_size=16).hexdigest(),
    }


def _restored(meta: meta_graph_pb2.MetaGraphDef, weights: Mapping[str, str]) -> dict[str, str]:
    """Return the digest of each variable's value by the name of its node in the main graph.

    The graph loads the values by one function of the variables, in which
    ``AssignVariableOp(variable, Identity(RestoreV2(prefix, names, slices):number))`` loads each.
    """
    from tensorflow.python.framework import tensor_util

    named = {each.name: each for each in meta.graph_def.node}
    call = named.get(meta.saver_def.restore_op_name)
    if call is None:
        return {}
    functions = {each.signature.name: each for each in meta.graph_def.library.function}
    function = functions[call.attr["f"].func.name]
    given = dict(zip((a.name for a in function.signature.input_arg), call.input, strict=False))
    nodes = {each.name: each for each in function.node_def}
    found = {}
    for node in nodes.values():
        if node.op != "AssignVariableOp":
            continue
        value = nodes[_node_of(node.input[1])]
        restore, _, number = value.input[0].partition(":tensors:")
        names = nodes[_node_of(nodes[restore].input[1])].attr["value"].tensor
        name = tensor_util.MakeNdarray(names)[int(number)].decode()
        found[given[node.input[0]]] = weights[name]
    return found


def _signature_digest(signature: Any, graph: _Nodes) -> str:
    tensors = [
        (side, name, each.dtype, each.tensor_shape.SerializeToString(), graph.tensor(each.name))
        for side, named in (("in", signature.inputs), ("out", signature.outputs))
        for name, each in sorted(named.items())
    ]
    return _digest(signature.method_name, tensors)


class _Functions:
    """The digests of a library's functions."""

    def __init__(self, library: graph_pb2.FunctionDefLibrary) -> None:
        self._functions: dict[str, function_pb2.FunctionDef] = {
            each.signature.name: each for each in library.function
        }
        self._digests: dict[str, str] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._functions

    def digest(self, name: str) -> str:
        """Return the digest of a function; functions do not call themselves."""
        if name not in self._digests:
            self._digests[name] = self._digest(self._functions[name])
        return self._digests[name]

    def _digest(self, function: function_pb2.FunctionDef) -> str:
        signature = function.signature
        arguments = {each.name: _digest(at) for at, each in enumerate(signature.input_arg)}
        nodes = _Nodes(function.node_def, self, arguments)
        return _digest(
            [each.type for each in signature.input_arg],
            [nodes.tensor(function.ret[each.name]) for each in signature.output_arg],
            sorted(nodes.tensor(each) for each in function.control_ret.values()),
            nodes.all(),
        )


class _Nodes:
    """The digests of the nodes of a graph, or of a function's body.

    Args:
        nodes: of the graph.
        functions: that the nodes call.
        known: digests by the name of a node: of a function's arguments, of variables.

    Attributes:
        visited: nodes that a digest was taken of, or of what they are an input of.
    """

    def __init__(
        self,
        nodes: Iterable[node_def_pb2.NodeDef],
        functions: _Functions,
        known: Mapping[str, str],
    ) -> None:
        self._nodes = {each.name: each for each in nodes}
        self._functions = functions
        self._digests = dict(known)
        self.visited: set[str] = set()

    def all(self) -> list[str]:
        """Return the digest of every node, sorted."""
        return sorted(self._digest_of(name) for name in self._nodes)

    def tensor(self, name: str) -> str:
        """Return the digest of a tensor: ``node``, ``node:0`` or, in a function, ``node:out:0``."""
        node, _, output = name.partition(":")
        return _digest(self._digest_of(node), output.rpartition(":")[2] or "0", output)

    def _digest_of(self, name: str) -> str:
        # Not by recursion: a chain of nodes may be longer than Python's stack.
        waiting = [name]
        while waiting:
            self.visited.add(waiting[-1])
            node = self._nodes.get(waiting[-1])
            if waiting[-1] in self._digests or node is None:
                waiting.pop()
                continue
            inputs = set(map(_node_of, node.input))
            self.visited |= inputs
            missing = inputs - self._digests.keys()
            if missing:
                waiting += missing
            else:
                self._digests[waiting.pop()] = self._digest(node)
        return self._digests[name]

    def _digest(self, node: node_def_pb2.NodeDef) -> str:
        data = [self.tensor(each) for each in node.input if not each.startswith("^")]
        control = sorted(self.tensor(each[1:]) for each in node.input if each.startswith("^"))
        attributes = [
            (name, self._attribute(value))
            for name, value in sorted(node.attr.items())
            if name not in _NOT_CONTENT
        ]
        return _digest(node.op, node.device, attributes, data, control)

    def _attribute(self, value: attr_value_pb2.AttrValue) -> str:
        named = [value.func, *value.list.func]
        if any(each.name for each in named):
            return _digest("functions", [self._functions.digest(f.name) for f in named if f.name])
        if value.WhichOneof("value") == "s" and value.s.decode("latin-1") in self._functions:
            return _digest("function", self._functions.digest(value.s.decode("latin-1")))
        return _digest(value.WhichOneof("value"), value.SerializeToString(deterministic=True))


def _node_of(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]


def _digest(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
