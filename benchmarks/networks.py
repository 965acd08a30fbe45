"""Comparison of all networks: windows per second in training, and milliseconds per served window.

Each network has its default sizes and random weights. They are trained in turns, step by step, in
one process, so that other load affects all of them; the same holds for serving, in the C++ loader
and a Session as in TensorFlow Serving. Prints the median and the minimum.

    python benchmarks/networks.py [--vocabulary 300] [--steps 40] [--repeats 100]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.components.runtime import INTER_OP_THREADS, INTRA_OP_THREADS, load_tensorflow

tf = load_tensorflow()

from tunesmith.components.networks.network import (  # noqa: E402
    WINDOW,
    load_network,
    network_names,
    sizes_kinds,
)
from tunesmith.components.records.windows import Shuffle, WindowTable  # noqa: E402
from tunesmith.components.trainer.component import ServedSettings  # noqa: E402
from tunesmith.components.trainer.export.saved_model import export_model  # noqa: E402
from tunesmith.components.trainer.learner import Learner  # noqa: E402
from tunesmith.music import Vocabulary  # noqa: E402

BATCH = 64
SERVED = (1, 16, 64)
WARM_UP = 5
"""Calls that are not timed; the first one traces."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--vocabulary", type=int, default=300, help="vocabulary size")
    parser.add_argument("--steps", type=int, default=40, help="training steps")
    parser.add_argument("--repeats", type=int, default=100, help="served calls")
    options = parser.parse_args()
    size = options.vocabulary
    learners = {
        name: Learner(
            load_network(name),
            size,
            sizes_kinds()[name](),
            tf.distribute.get_strategy(),
            seed=0,
            batch=BATCH,
            eval_batch=BATCH,
        )
        for name in network_names()
    }
    steps = {name: training_step(learner, size) for name, learner in learners.items()}
    print(f"training, a step of {BATCH} windows, V = {size}")
    tell(in_turns(steps, options.steps), BATCH, learners)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as sessions:
        calls = {
            name: served(name, learner.model, size, Path(folder) / name, sessions)
            for name, learner in learners.items()
        }
        for batch in SERVED:
            tokens = (
                np.random.default_rng(batch).integers(0, size, (batch, WINDOW)).astype(np.int32)
            )
            asked = {name: partial(call, tokens) for name, call in calls.items()}
            print(f"serving, {batch} windows")
            tell(in_turns(asked, options.repeats), batch, learners)


def training_step(learner: Learner, size: int) -> Callable[[], Any]:
    random = np.random.default_rng(0)
    songs = [random.integers(0, size, 300).astype(np.int32) for _ in range(40)]
    table = WindowTable.from_songs(songs, WINDOW)
    count = tf.constant(float(BATCH))

    def batches() -> Iterator[Any]:
        epoch = 0
        while True:
            # The last batch of a pass holds filling.
            yield from learner.batches(table, Shuffle(0, epoch), 0).take(len(table) // BATCH)
            epoch += 1

    endless = batches()
    return lambda: float(learner.train(*next(endless), count))


def served(
    name: str, model: Any, size: int, directory: Path, sessions: ExitStack
) -> Callable[[Any], Any]:
    sizes = sizes_kinds()[name]()
    pairs = [(low, high) for low in range(20, 100) for high in range(low + 1, 100)]
    vocabulary = Vocabulary(((), *pairs[: size - 1]), 5.0)
    forward = load_network(name).for_serving(model, size, sizes)
    export_model(forward, sizes.window, vocabulary, ServedSettings(), directory)
    threads = tf.compat.v1.ConfigProto(
        inter_op_parallelism_threads=INTER_OP_THREADS,
        intra_op_parallelism_threads=INTRA_OP_THREADS,
    )
    session = tf.compat.v1.Session(graph=tf.Graph(), config=threads)
    sessions.callback(session.close)
    with session.graph.as_default():
        meta = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(directory))
    signature = meta.signature_def["serving_default"]
    fetched, fed = signature.outputs["probabilities"].name, signature.inputs["tokens"].name
    call: Callable[[Any], Any] = session.make_callable(fetched, [fed])
    return call


def in_turns(calls: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(WARM_UP + repeats):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            if number >= WARM_UP:
                times[name].append(time.perf_counter() - started)
    return times


def tell(times: dict[str, list[float]], windows: int, learners: dict[str, Learner]) -> None:
    for name, each in times.items():
        median, least = float(np.median(each)), min(each)
        ratio = median / float(np.median(times["paper"]))
        print(
            f"  {name:12} {learners[name].model.count_params():9,} parameters "
            f"{1e3 * median:7.1f} ms ({1e3 * least:.1f} the least), {windows / median:6.0f} "
            f"windows/s, {ratio:.2f} times the paper's"
        )


if __name__ == "__main__":
    main()
