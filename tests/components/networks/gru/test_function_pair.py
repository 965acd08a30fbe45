"""The two halves of exported GRU layers: which device takes which, and what each computes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import (
    config_pb2,
    device_properties_pb2,
    rewriter_config_pb2,
    saved_model_pb2,
)
from tensorflow.python.grappler import cluster, tf_optimizer

from tunesmith.components.networks.causal.sizes import CausalSizes
from tunesmith.components.networks.network import load_network
from tunesmith.components.networks.paper.sizes import PaperSizes
from tunesmith.components.trainer.component import ServedSettings
from tunesmith.components.trainer.export.saved_model import export_model
from tunesmith.music import Vocabulary

VOCABULARY = Vocabulary(((), *((pitch,) for pitch in range(40, 60))), 5.0)
SIZES = {
    "paper": PaperSizes(embedding=6, units=8, layers=2, dense=5, window=4),
    "causal": CausalSizes(embedding=6, units=8, layers=2, window=4),
}
# Of TensorFlow's graph optimizer; without them its implementation selector is left.
OTHER_PASSES = (
    "arithmetic_optimization",
    "common_subgraph_elimination",
    "constant_folding",
    "dependency_optimization",
    "function_optimization",
    "layout_optimizer",
    "loop_optimization",
    "remapping",
    "shape_optimization",
)


@pytest.fixture(scope="module", params=list(SIZES))
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(scope="module")
def network(name: str) -> Any:
    network = load_network(name).build(len(VOCABULARY), SIZES[name])
    random = np.random.default_rng(5)
    network.set_weights([random.normal(0, 0.3, w.shape) for w in network.get_weights()])
    return network


@pytest.fixture(scope="module")
def exported(name: str, network: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pair") / "1"
    forward = load_network(name).for_serving(network, len(VOCABULARY), SIZES[name])
    export_model(forward, SIZES[name].window, VOCABULARY, ServedSettings(), directory)
    return directory


def meta_graph(exported: Path) -> Any:
    (meta,) = saved_model_pb2.SavedModel.FromString(
        (exported / "saved_model.pb").read_bytes()
    ).meta_graphs
    return meta


def halves(library: Any) -> dict[str, list[Any]]:
    """The functions that implement an interface, by the device they prefer."""
    found: dict[str, list[Any]] = {}
    for function in library.function:
        # Indexing an attribute that is not there would add it.
        if "api_implements" in function.attr:
            found.setdefault(function.attr["api_preferred_device"].s.decode(), []).append(function)
    return found


def operations(function: Any) -> set[str]:
    return {node.op for node in function.node_def}


def test_both_halves_are_in_the_saved_model(exported: Path) -> None:
    found = halves(meta_graph(exported).graph_def.library)
    assert set(found) == {"CPU", "GPU"}
    for function in found["GPU"]:
        assert {"CudnnRNNV2", "CudnnRNNCanonicalToParamsV2"} <= operations(function)
    for function in found["CPU"]:
        assert not [name for name in operations(function) if "Cudnn" in name]
    (cpu, *_), (gpu, *_) = found["CPU"], found["GPU"]
    types = [[each.type for each in half.signature.input_arg] for half in (cpu, gpu)]
    assert types[0] == types[1]


def test_models_of_several_sizes_in_one_process_keep_their_own_halves(
    name: str, tmp_path: Path
) -> None:
    """As where a candidate is compared with a served model of another window."""
    windows = (3, 7, 5, 4)
    networks, loaded = [], []
    for window in windows:
        sizes = replace(SIZES[name], window=window)
        network = load_network(name).build(len(VOCABULARY), sizes)
        forward = load_network(name).for_serving(network, len(VOCABULARY), sizes)
        export_model(forward, window, VOCABULARY, ServedSettings(), tmp_path / str(window))
        networks.append(network)
        loaded.append(tf.saved_model.load(str(tmp_path / str(window))))
    for window, network, model in zip(windows, networks, loaded, strict=True):
        tokens = np.random.default_rng(window).integers(0, len(VOCABULARY), (2, window))
        tokens = tokens.astype(np.int32)
        answer = model.signatures["serving_default"](tokens=tf.constant(tokens))
        np.testing.assert_allclose(
            answer["probabilities"], network(tokens, training=False), rtol=1e-4, atol=1e-6
        )


def _called_half(exported: Path, device: str) -> set[str]:
    """Let TensorFlow's implementation selector choose for a machine with `device`."""
    meta = meta_graph(exported)
    functions = {each.signature.name: each for each in meta.graph_def.library.function}
    ours = {
        each.signature.name for group in halves(meta.graph_def.library).values() for each in group
    }
    ((call, caller),) = {
        (node.attr["f"].func.name, name): (node, functions[name])
        for name, function in functions.items()
        for node in function.node_def
        if "f" in node.attr and node.attr["f"].func.name in ours and "serving_default" in name
    }.values()
    # The caller's body as a graph of its own, placed as TensorFlow's placer would.
    graph = graph_pb2.GraphDef(versions=meta.graph_def.versions, library=meta.graph_def.library)
    place = f"/job:localhost/replica:0/task:0/device:{device}:0"
    arguments = {node.name for node in caller.node_def}
    assert call.name in arguments
    call_node = graph.node.add()
    call_node.CopyFrom(call)
    call_node.device = place
    del call_node.input[:]
    for index, argument in enumerate(functions[call.attr["f"].func.name].signature.input_arg):
        node = graph.node.add(name=f"argument{index}", op="Placeholder", device=place)
        node.attr["dtype"].type = argument.type
        node.attr["shape"].shape.dim.add(size=1)  # Unused, but the optimizer asks for one.
        call_node.input.append(node.name)
    item = tf.compat.v1.MetaGraphDef(graph_def=graph)
    item.collection_def["train_op"].node_list.value.append(call.name)
    config = config_pb2.ConfigProto()
    options = config.graph_options.rewrite_options
    options.min_graph_nodes = -1
    for name in OTHER_PASSES:
        setattr(options, name, rewriter_config_pb2.RewriterConfig.OFF)
    device_kind = device_properties_pb2.DeviceProperties(type=device)
    named = device_properties_pb2.NamedDevice(name=place, properties=device_kind)
    optimized = tf_optimizer.OptimizeGraph(config, item, cluster=cluster.Cluster(devices=[named]))
    (chosen,) = (node for node in optimized.node if node.name == call.name)
    (function,) = (
        each
        for each in optimized.library.function
        if each.signature.name == chosen.attr["f"].func.name
    )
    return operations(function)


def test_a_gpu_takes_the_cudnn_half(exported: Path) -> None:
    assert "CudnnRNNV2" in _called_half(exported, "GPU")


def test_a_cpu_takes_the_written_out_half(exported: Path) -> None:
    assert "CudnnRNNV2" not in _called_half(exported, "CPU")


@pytest.mark.gpu
def test_both_halves_compute_the_same(
    network: Any, exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not tf.config.list_physical_devices("GPU"):
        pytest.skip("TensorFlow sees no GPU")
    tokens = np.random.default_rng(1).integers(0, len(VOCABULARY), (9, 4), dtype=np.int32)
    answers = {}
    for device, count in (("CPU", 0), ("GPU", 1)):
        config = tf.compat.v1.ConfigProto(device_count={"GPU": count})
        with tf.compat.v1.Session(graph=tf.Graph(), config=config) as session:
            meta = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(exported))
            signature = meta.signature_def["serving_default"]
            (fed,), (fetched,) = signature.inputs.values(), signature.outputs.values()
            answers[device] = session.run(fetched.name, {fed.name: tokens})
    difference = np.abs(answers["GPU"] - answers["CPU"]).max()
    with capsys.disabled():
        print(f"\nlargest difference of a probability, GPU to CPU: {difference:.2e}")  # noqa: T201
    np.testing.assert_allclose(answers["GPU"], answers["CPU"], atol=1e-3)
    np.testing.assert_allclose(answers["CPU"], network(tokens, training=False), atol=1e-5)
