"""Windows per second of the input pipeline, compared with the paper's network.

    python benchmarks/windows.py [--tokens 10000000] [--memory-mib 16] [--seconds 8]

Writes a corpus of random songs to a temporary folder. Reads it once as a table in memory and once
as a stream with the memory limit, then trains the paper's network on the batches. All in one
process and one run, so that other load affects all figures. Peak memory is the high-water mark of
the process (Linux), minus the memory used before.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from pathlib import Path

import numpy as np

from tunesmith.components.runtime import load_tensorflow

tf = load_tensorflow()

from tunesmith.components.networks.paper.network import NETWORK  # noqa: E402
from tunesmith.components.networks.paper.sizes import PaperSizes  # noqa: E402
from tunesmith.components.records.song_index import SongIndex  # noqa: E402
from tunesmith.components.records.songs import write_tokens  # noqa: E402
from tunesmith.components.records.windows import (  # noqa: E402
    Shuffle,
    Windows,
    WindowTable,
    open_windows,
)
from tunesmith.components.trainer.learner import Learner  # noqa: E402
from tunesmith.music import REST_TOKEN  # noqa: E402

MEBIBYTE = 2**20
BATCH = 64
WINDOW = 50
WARM_UP = 24
"""Steps before the network is timed: TensorFlow's first dozen take half as long again."""

VOCABULARY = 278
"""Vocabulary size of the paper's songs, with the rest."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tokens", type=int, default=10_000_000, help="number of tokens")
    parser.add_argument(
        "--memory-mib", type=float, default=16, help="memory limit of streaming in MiB"
    )
    parser.add_argument("--seconds", type=float, default=8, help="seconds of each measurement")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        shards = write_corpus(Path(folder), options.tokens)
        rates = {}
        for bound in (options.memory_mib, None):
            before = reset_peak()
            index = SongIndex.of(shards)
            memory = int(bound * MEBIBYTE) if bound else 2**62
            windows = open_windows(index, WINDOW, (REST_TOKEN,), memory)
            name = "in memory" if isinstance(windows, WindowTable) else "streamed"
            opened = peak() - before
            rates[name] = windows_per_second(windows, options.seconds)
            print(
                f"{name:10} {len(windows)} windows: {rates[name]:9.0f} windows/s, "
                f"peak {(peak() - before):6.0f} MiB ({opened:.0f} on opening)"
                + (f", bound {bound:.0f} MiB and the index" if bound else ""),
                flush=True,
            )
        taken = consumption(windows, options.seconds)
    print(f"the paper's network takes {taken:.0f} windows/s (batch {BATCH}, float32)")
    for name, rate in rates.items():
        print(f"{name:10} gives {rate / taken:6.0f} times what the network takes")


def write_corpus(folder: Path, tokens: int) -> list[Path]:
    """Write songs of 200 to 2,000 random tokens, in eight shards."""
    random = np.random.default_rng(0)
    paths = [folder / f"train-{number:05}-of-00008.tfrecord" for number in range(8)]
    left = tokens
    writers = [tf.io.TFRecordWriter(str(path)) for path in paths]
    for number in itertools.count():
        if left <= 0:
            break
        song = random.integers(0, VOCABULARY, min(left, int(random.integers(200, 2000))))
        left -= len(song)
        writers[number % 8].write(write_tokens(f"{number}.mid".encode(), song, 5.0))
    for writer in writers:
        writer.close()
    return paths


def windows_per_second(windows: Windows, seconds: float) -> float:
    """Take batches of a shuffled pass for `seconds` after the first."""
    batches = iter(windows.batches(BATCH, Shuffle(0, 0)))
    next(batches)
    started = time.perf_counter()
    count = 0
    for _ in batches:
        count += BATCH
        if time.perf_counter() - started >= seconds:
            break
    return count / (time.perf_counter() - started)


def consumption(windows: Windows, seconds: float) -> float:
    """Train on batches of `windows` for `seconds`, once the first steps are through."""
    strategy = tf.distribute.get_strategy()
    learner = Learner(
        NETWORK, VOCABULARY, PaperSizes(), strategy, seed=0, batch=BATCH, eval_batch=BATCH
    )
    count = tf.constant(float(BATCH))
    batches = iter(learner.batches(windows, Shuffle(0, 0), 0))
    for _ in range(WARM_UP):
        learner.train(*next(batches), count)
    started = time.perf_counter()
    steps = 0
    while time.perf_counter() - started < seconds:
        float(learner.train(*next(batches), count))
        steps += 1
    return steps * BATCH / (time.perf_counter() - started)


def reset_peak() -> float:
    """Forget the high-water mark, and return what memory is in use, in MiB."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak() -> float:
    """The high-water mark of resident memory since the last reset, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    main()
