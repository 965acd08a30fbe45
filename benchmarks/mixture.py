"""Cost of the mixture: a call of the mixture compared with its network alone, same weights.

    python benchmarks/mixture.py EXAMPLES [--rounds 9]

EXAMPLES is an output folder of ``tunesmith preprocess``. An untrained network of the paper's sizes
is exported alone and mixed with the counts of these songs. Both run in the C++ loader and a
Session, as in TensorFlow Serving, on windows of the held-out songs, in turns. Prints milliseconds
per call and the median of the ratios.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from forward import session

from tunesmith.components.artifacts import Examples
from tunesmith.components.mixture.fitting import prepare_mixture
from tunesmith.components.mixture.occurrences import TrainingSongs
from tunesmith.components.networks.paper.network import NETWORK
from tunesmith.components.networks.paper.sizes import PaperSizes
from tunesmith.components.records.eval_windows import EvalWindows
from tunesmith.components.records.song_index import SongIndex
from tunesmith.components.records.tfrecord import read_tokens
from tunesmith.components.trainer.component import ServedSettings
from tunesmith.components.trainer.export.saved_model import export_model

BATCHES = (1, 16, 64)
CALLS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("examples", type=Path, help="output folder of tunesmith preprocess")
    parser.add_argument("--rounds", type=int, default=9, help="turns")
    options = parser.parse_args()
    examples, sizes = Examples(options.examples, ""), PaperSizes()
    vocabulary = examples.vocabulary()
    network = NETWORK.for_serving(NETWORK.build(len(vocabulary), sizes), len(vocabulary), sizes)
    index = SongIndex.of(examples.shards("train"))
    _, cut = index.split_off(0.1)
    started = time.perf_counter()
    prepared = prepare_mixture(
        TrainingSongs.read(index, cut, sizes.window, vocabulary.rests),
        vocabulary.names,
        vocabulary.rests,
        maximum_bytes=64 * 2**20,
        seed=0,
    )
    mixture = prepared.mixed_with(network, np.arange(len(vocabulary), dtype=np.int32), 0)
    print(
        f"{index.tokens} frames counted and fitted in {time.perf_counter() - started:.1f} s, "
        f"tables of {prepared.every.table.nbytes / 2**20:.1f} MiB"
    )
    held = EvalWindows.of(read_tokens(examples.shards("eval")), sizes.window, vocabulary.rests)
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        calls = {}
        for name, forward in (("network", network), ("mixture", mixture)):
            export_model(forward, sizes.window, vocabulary, ServedSettings(), Path(folder, name))
            calls[name] = session(Path(folder, name), 2, 1)
        for batch in BATCHES:
            windows = [held.windows(random.integers(len(held), size=batch)) for _ in range(CALLS)]
            seconds: dict[str, list[float]] = {name: [] for name in calls}
            for _ in range(options.rounds):
                for name, call in calls.items():
                    started = time.perf_counter()
                    for some in windows:
                        call(some)
                    seconds[name].append((time.perf_counter() - started) / CALLS)
            ratio = np.median(np.divide(seconds["mixture"], seconds["network"]))
            alone, mixed = (1000 * min(seconds[name]) for name in ("network", "mixture"))
            print(
                f"{batch:3} windows: network {alone:.2f} ms, mixture {mixed:.2f} ms, "
                f"ratio {ratio:.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
