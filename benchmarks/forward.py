"""Forward pass on this machine: several engines with the same weights, in one run.

The exported graph and the plain Keras export run in the C++ loader and a Session, as in TensorFlow
Serving. Each engine has its own process. PyTorch, ONNX Runtime (with onnx) and OpenVINO are not
dependencies of the project: ``--others`` is a Python interpreter that has them; missing ones are
skipped with a message.

    python benchmarks/forward.py [--others /path/to/python] [--vocabulary 300] [--seconds 1]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

BATCHES = (1, 16, 64)
WINDOW, UNITS, EMBEDDING, LAYERS = 50, 128, 100, 3
CHECKED = 16
OURS = ("tunesmith", "keras-export", "model.predict", "matmul-peak")
OTHERS = ("pytorch", "onnxruntime", "openvino")


def windows(batch: int, size: int) -> Any:
    return np.random.default_rng(batch).integers(0, size, (batch, WINDOW)).astype(np.int32)


def flops() -> float:
    """Operations of the products of one window; layer 1's input projection is a look-up."""
    recurrent = LAYERS * 2 * WINDOW * 2 * UNITS * 3 * UNITS
    projections = (LAYERS - 1) * 2 * WINDOW * 2 * (2 * UNITS) * 3 * UNITS
    return float(recurrent + projections)


def session(directory: Path, inter: int, intra: int) -> Callable[[Any], Any]:
    import tensorflow as tf
    from tensorflow.core.protobuf import config_pb2

    threads = tf.compat.v1.ConfigProto(
        inter_op_parallelism_threads=inter, intra_op_parallelism_threads=intra
    )
    opened = tf.compat.v1.Session(graph=tf.Graph(), config=threads)
    with opened.graph.as_default():
        meta = tf.compat.v1.saved_model.loader.load(opened, ["serve"], str(directory))
    signature = meta.signature_def["serving_default"]
    options = config_pb2.CallableOptions(
        feed=[signature.inputs["tokens"].name], fetch=[signature.outputs["probabilities"].name]
    )
    call = opened._make_callable_from_options(options)
    return lambda tokens: call(tokens)[0]


def tensorflow_engine(name: str, folder: Path, inter: int, intra: int) -> Callable[[Any], Any]:
    if name != "model.predict":
        return session(folder / name, inter, intra)
    from tunesmith.components.networks.paper.keras_model import build_model
    from tunesmith.components.networks.paper.sizes import PaperSizes

    model = build_model(load(folder)[0].shape[0], PaperSizes(), portable=True)
    model.set_weights(load(folder))
    return lambda tokens: model.predict(tokens, verbose=0)


def export(folder: Path, size: int) -> None:
    """Write the weights, and the two SavedModels that hold them."""
    from tunesmith.components.runtime import load_tensorflow

    tf = load_tensorflow()
    from tunesmith.components.networks.paper.keras_model import build_model
    from tunesmith.components.networks.paper.network import NETWORK
    from tunesmith.components.networks.paper.sizes import PaperSizes
    from tunesmith.components.trainer.export.saved_model import ServedSettings, export_model
    from tunesmith.music import Vocabulary

    plain = build_model(size, PaperSizes(), portable=True)
    random = np.random.default_rng(0)
    plain.set_weights([random.normal(0, 0.1, w.shape) for w in plain.get_weights()])
    np.savez(folder / "weights.npz", *plain.get_weights())
    frames = ((), *((20 + i // 100, 40 + i % 100 - i // 100) for i in range(size - 1)))
    vocabulary = Vocabulary(tuple(tuple(sorted(set(frame))) for frame in frames), 5.0)
    forward = NETWORK.for_serving(plain, len(vocabulary), PaperSizes())
    export_model(forward, PaperSizes().window, vocabulary, ServedSettings(), folder / "tunesmith")
    module = tf.Module()
    module.variables_of_keras = [each.value for each in plain.variables]

    @tf.function(input_signature=[tf.TensorSpec([None, WINDOW], tf.int32, "tokens")])
    def serving_default(tokens: Any) -> Any:
        return {"probabilities": plain(tokens, training=False)}

    tf.saved_model.save(
        module, str(folder / "keras-export"), signatures={"serving_default": serving_default}
    )


def load(folder: Path) -> list[Any]:
    stored = np.load(folder / "weights.npz")
    return [stored[f"arr_{i}"] for i in range(len(stored.files))]


def pytorch(folder: Path) -> Callable[[Any], Any]:
    import torch

    torch.set_num_threads(2)
    embeddings, *recurrent, kernel, bias, out_kernel, out_bias = load(folder)
    gru = torch.nn.GRU(EMBEDDING, UNITS, LAYERS, batch_first=True, bidirectional=True).eval()
    order = np.r_[UNITS : 2 * UNITS, 0:UNITS, 2 * UNITS : 3 * UNITS]  # r, z, n where Keras: z, r, h
    with torch.no_grad():
        for i in range(2 * LAYERS):
            tail = f"l{i // 2}" + ("_reverse" if i % 2 else "")
            inputs, states, biases = recurrent[3 * i : 3 * i + 3]
            for name, value in (
                ("weight_ih", inputs[:, order].T),
                ("weight_hh", states[:, order].T),
                ("bias_ih", biases[0, order]),
                ("bias_hh", biases[1, order]),
            ):
                getattr(gru, f"{name}_{tail}").copy_(torch.tensor(value))
    tensors = [torch.tensor(each) for each in (embeddings, kernel, bias, out_kernel, out_bias)]

    def call(tokens: Any) -> Any:
        with torch.inference_mode():
            _, final = gru(tensors[0][torch.from_numpy(tokens).long()])
            hidden = torch.cat([final[-2], final[-1]], 1) @ tensors[1] + tensors[2]
            hidden = torch.nn.functional.leaky_relu(hidden, 0.3) @ tensors[3] + tensors[4]
            return torch.softmax(hidden, 1).numpy()

    return call


def onnx_model(folder: Path) -> Path:
    """Write the network as an ONNX graph whose GRU operator is the reset_after form."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    embeddings, *recurrent, kernel, bias, out_kernel, out_bias = load(folder)
    nodes, constants = [], []

    def constant(name: str, array: Any) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(kind: str, inputs: list[str], *outputs: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, list(outputs), **attributes))
        return outputs[-1]

    flat = constant("flat", np.array([0, 0, -1], dtype=np.int64))
    pair = constant("pair", np.array([0, -1], dtype=np.int64))
    tokens = node("Transpose", ["tokens"], "by_time", perm=[1, 0])
    series = node("Gather", [constant("embeddings", embeddings), tokens], "x0", axis=0)
    for i in range(LAYERS):
        both = (recurrent[6 * i : 6 * i + 3], recurrent[6 * i + 3 : 6 * i + 6])
        given = [
            constant(f"W{i}", np.stack([each[0].T for each in both])),
            constant(f"R{i}", np.stack([each[1].T for each in both])),
            constant(f"B{i}", np.stack([each[2].ravel() for each in both])),
        ]
        options = {"hidden_size": UNITS, "direction": "bidirectional", "linear_before_reset": 1}
        node("GRU", [series, *given], f"y{i}", f"h{i}", **options)
        turned = node("Transpose", [f"y{i}"], f"t{i}", perm=[0, 2, 1, 3])
        series = node("Reshape", [turned, flat], f"x{i + 1}")
    final = node("Transpose", [f"h{LAYERS - 1}"], "final", perm=[1, 0, 2])
    final = node("Reshape", [final, pair], "states")
    hidden = node("Gemm", [final, constant("k", kernel), constant("b", bias)], "hidden")
    hidden = node("LeakyRelu", [hidden], "leaky", alpha=0.3)
    hidden = node("Gemm", [hidden, constant("ok", out_kernel), constant("ob", out_bias)], "logits")
    node("Softmax", [hidden], "probabilities", axis=-1)
    graph = helper.make_graph(
        nodes,
        "tunesmith",
        [helper.make_tensor_value_info("tokens", TensorProto.INT32, ["batch", WINDOW])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", None])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    path = folder / "model.onnx"
    onnx.save(model, str(path))
    return path


def onnxruntime(folder: Path) -> Callable[[Any], Any]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    opened = ort.InferenceSession(str(onnx_model(folder)), options)
    return lambda tokens: opened.run(None, {"tokens": tokens})[0]


def openvino(folder: Path) -> Callable[[Any], Any]:
    import openvino as ov

    hints = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = ov.Core().compile_model(str(onnx_model(folder)), "CPU", hints)
    return lambda tokens: compiled([tokens])[0]


def matmul_peak() -> float:
    """Return the best GFLOP/s of a large float32 product."""
    import tensorflow as tf

    side = 2048
    matrix = tf.random.normal((side, side))
    return 2 * side**3 / min(clock(lambda: tf.matmul(matrix, matrix).numpy(), 2.0)) / 1e9


def clock(call: Callable[[], Any], seconds: float) -> list[float]:
    call()
    call()
    times: list[float] = []
    while sum(times) < seconds or len(times) < 5:
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return times


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return one engine's milliseconds, median and least, at each batch, and its answers."""
    folder, name = arguments.folder, arguments.engine
    size = load(folder)[0].shape[0]
    if name == "matmul-peak":
        return {"peak": matmul_peak()}
    if name in OURS:
        call = tensorflow_engine(name, folder, arguments.inter_op, arguments.intra_op)
    else:
        call = {"pytorch": pytorch, "onnxruntime": onnxruntime, "openvino": openvino}[name](folder)
    np.save(folder / f"{name}.npy", call(windows(CHECKED, size)))
    result: dict[str, Any] = {}
    for batch in BATCHES:
        tokens = windows(batch, size)
        times = clock(lambda: call(tokens), arguments.seconds)  # noqa: B023
        result[str(batch)] = [1e3 * float(np.median(times)), 1e3 * min(times)]
    return result


def child(arguments: argparse.Namespace, name: str, folder: Path) -> dict[str, Any] | str:
    """Measure an engine in a process of its own; a word where that is not possible."""
    python = arguments.others if name in OTHERS else sys.executable
    command = [python, __file__, "--engine", name, "--folder", str(folder)]
    command += [f"--inter-op={arguments.inter_op}", f"--intra-op={arguments.intra_op}"]
    ran = subprocess.run(
        [*command, f"--seconds={arguments.seconds}"], capture_output=True, text=True, check=False
    )
    if ran.returncode:
        return ran.stderr.strip().splitlines()[-1]
    result: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return result


def compare(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        export(folder, arguments.vocabulary)
        results = {name: child(arguments, name, folder) for name in (*OURS, *OTHERS)}
        answers = {path.stem: np.load(path) for path in folder.glob("*.npy")}
    ours = results["tunesmith"]
    if isinstance(ours, str):
        raise SystemExit(ours)
    print(f"threads of ours and the Keras export: inter {arguments.inter_op}, ", end="")
    print(f"intra {arguments.intra_op}; ms a batch, median (least); then median over ours")
    for name, result in results.items():
        if isinstance(result, str):
            print(f"{name:14} skipped: {result}")
        elif name == "matmul-peak":
            floors = [f"{batch * flops() / result['peak'] / 1e6:.2f}" for batch in BATCHES]
            print(f"{name:14} {result['peak']:.0f} GFLOP/s, so the floor is {floors} ms")
        else:
            cells = [
                f"{b}: {result[str(b)][0]:7.2f} ({result[str(b)][1]:.2f}) "
                f"{result[str(b)][0] / ours[str(b)][0]:5.2f}x"
                for b in BATCHES
            ]
            apart = np.abs(answers[name] - answers["keras-export"]).max()
            print(f"{name:14} {'   '.join(cells)}   largest difference to Keras {apart:.1e}")
    print(f"tunesmith at 64: {64e3 / ours['64'][0]:.0f} windows/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--others", default=sys.executable, help="Python interpreter of the other engines"
    )
    parser.add_argument("--vocabulary", type=int, default=300, help="vocabulary size")
    parser.add_argument("--seconds", type=float, default=1.0, help="seconds for each batch size")
    parser.add_argument("--inter-op", type=int, default=2, help="inter-op threads")
    parser.add_argument("--intra-op", type=int, default=1, help="intra-op threads")
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.engine:
        print(json.dumps(measure(arguments)))
    else:
        compare(arguments)


if __name__ == "__main__":
    main()
