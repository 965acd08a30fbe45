"""Training step on this machine: our graph, plain Keras and PyTorch, in one run.

All have the same network (three bidirectional GRU layers of 128, dropout 0.3), batch and optimizer
(Nadam). Each engine has its own process, because TensorFlow's threads are set once. PyTorch is not
a dependency of the project: ``--others`` is an interpreter that has it; if it is missing, it is
skipped with a message.

    python benchmarks/train.py [--others /path/to/python] [--vocabulary 300] [--steps 30]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

BATCH, WINDOW = 64, 50
ENGINES = ("tunesmith", "keras, default threads", "keras, 2 inter 1 intra", "pytorch")


def examples(size: int) -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    return (
        random.integers(0, size, (BATCH, WINDOW)).astype(np.int32),
        random.integers(0, size, BATCH).astype(np.int32),
    )


def keras_step(name: str, size: int) -> tuple[Callable[[], Any], float | None]:
    """Return a step, and for ours the largest difference of a gradient to Keras's.

    The difference is relative to the largest entry of the same gradient.
    """
    import tensorflow as tf

    if name != "keras, default threads":
        tf.config.threading.set_inter_op_parallelism_threads(2)
        tf.config.threading.set_intra_op_parallelism_threads(1)
    import keras

    from tunesmith.components.networks.paper.keras_model import build_model
    from tunesmith.components.networks.paper.sizes import PaperSizes

    ours = name == "tunesmith"
    model = build_model(size, PaperSizes(), portable=not ours)
    apart = None
    if ours:
        plain = build_model(size, PaperSizes(), portable=True)
        plain.set_weights(model.get_weights())
        mine, reference = (gradients(each, size) for each in (model, plain))
        apart = max(
            float(np.abs(a - b).max() / np.abs(b).max())
            for a, b in zip(mine, reference, strict=True)
        )
    model.compile(keras.optimizers.Nadam(), "sparse_categorical_crossentropy", jit_compile=False)
    batches = iter(tf.data.Dataset.from_tensors(examples(size)).repeat())
    step = tf.function(model.train_step)
    return lambda: step(next(batches)), apart


def gradients(model: Any, size: int) -> list[Any]:
    import keras
    import tensorflow as tf

    tokens, targets = examples(size)
    with tf.GradientTape() as tape:
        output = model(tokens, training=False)
        losses = keras.losses.sparse_categorical_crossentropy(targets, output)
        loss = tf.reduce_mean(losses)
    found = tape.gradient(loss, [each.value for each in model.trainable_variables])
    return [tf.convert_to_tensor(each).numpy() for each in found]


def pytorch_step(size: int) -> Callable[[], Any]:
    import torch
    from torch import nn

    torch.set_num_threads(2)
    embedding = nn.Embedding(size, 100)
    gru = nn.GRU(100, 128, 3, batch_first=True, bidirectional=True, dropout=0.3)
    dense = nn.Sequential(
        nn.Dropout(0.3), nn.Linear(256, 64), nn.LeakyReLU(0.3), nn.Linear(64, size)
    )
    optimizer = torch.optim.NAdam(
        [p for part in (embedding, gru, dense) for p in part.parameters()]
    )
    tokens, targets = (torch.from_numpy(each).long() for each in examples(size))

    def step() -> None:
        optimizer.zero_grad()
        _, final = gru(embedding(tokens))
        logits = dense(torch.cat([final[-2], final[-1]], 1))
        nn.functional.cross_entropy(logits, targets).backward()
        optimizer.step()

    return step


def measure(name: str, size: int, steps: int) -> dict[str, Any]:
    apart = None
    if name == "pytorch":
        step = pytorch_step(size)
    else:
        step, apart = keras_step(name, size)
    started = time.perf_counter()
    step()
    first = time.perf_counter() - started
    times = []
    for _ in range(steps):
        started = time.perf_counter()
        step()
        times.append(time.perf_counter() - started)
    median, least = 1e3 * float(np.median(times)), 1e3 * min(times)
    return {"median": median, "least": least, "first": first, "apart": apart}


def compare(arguments: argparse.Namespace) -> None:
    ours = None
    for name in ENGINES:
        python = arguments.others if name == "pytorch" else sys.executable
        command = [python, __file__, "--engine", name, f"--vocabulary={arguments.vocabulary}"]
        command.append(f"--steps={arguments.steps}")
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode:
            print(f"{name:24} skipped: {ran.stderr.strip().splitlines()[-1]}")
            continue
        result = json.loads(ran.stdout.splitlines()[-1])
        ours = ours or result
        print(
            f"{name:24} {result['median']:6.1f} ms a step ({result['least']:.1f} the least), "
            f"{BATCH * 1e3 / result['median']:5.0f} windows/s, "
            f"{result['median'] / ours['median']:.2f} times ours, first {result['first']:.1f} s",
            flush=True,
        )
        if result["apart"] is not None:
            print(f"{'':24} largest difference of a gradient to Keras: {result['apart']:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--others", default=sys.executable, help="Python interpreter with PyTorch")
    parser.add_argument("--vocabulary", type=int, default=300, help="vocabulary size")
    parser.add_argument("--steps", type=int, default=30, help="training steps")
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.engine:
        print(json.dumps(measure(arguments.engine, arguments.vocabulary, arguments.steps)))
    else:
        compare(arguments)


if __name__ == "__main__":
    main()
