"""Likelihood of the baselines, and the time to count them and to search copied stretches.

    python benchmarks/evaluation.py EXAMPLES… [--tokens 1000000]

EXAMPLES are output folders of ``tunesmith preprocess``. Prints the held-out likelihood of each
baseline, and of the 5-gram with the weights of Witten-Bell smoothing, c / (c + T), instead of the
fitted ones. Then it times counting and the search for copies on random tokens, the worst case.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from tunesmith.components.artifacts import Examples
from tunesmith.components.evaluator.baselines import count_baselines
from tunesmith.components.evaluator.likelihood import Figures, Predictor, score
from tunesmith.components.ngram.counting import NGram
from tunesmith.components.records.eval_windows import EvalWindows
from tunesmith.components.records.tfrecord import read_tokens
from tunesmith.components.runtime import load_tensorflow
from tunesmith.music import REST_TOKEN
from tunesmith.music.copying import copied_stretches

VOCABULARY = 1000
WINDOW = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "examples", type=Path, nargs="*", help="output folders of tunesmith preprocess"
    )
    parser.add_argument("--tokens", type=int, default=1_000_000, help="number of random tokens")
    options = parser.parse_args()
    load_tensorflow()
    for folder in options.examples:
        compare_baselines(Examples(folder, ""))
    time_random(options.tokens)


def compare_baselines(examples: Examples) -> None:
    """Print the nats a held-out frame of every baseline."""
    train, held_out = (read_tokens(examples.shards(split)) for split in ("train", "eval"))
    size, rests = len(examples.vocabulary()), examples.vocabulary().rests
    windows = EvalWindows.of(held_out, WINDOW, rests)
    print(
        f"{examples.path}: {len(train)} songs, {sum(map(len, train))} frames to count, "
        f"{len(held_out)} songs, {len(windows)} frames held out, {size} tokens"
    )
    baselines: dict[str, Predictor] = {
        "uniform": NGram(size, ()),
        **count_baselines(train, size, WINDOW, rests),
    }
    ngram = baselines["5-gram"]
    assert isinstance(ngram, NGram)
    baselines["5-gram, Witten-Bell"] = with_witten_bell(ngram)
    for name, predictor in baselines.items():
        figures = Figures.of(score(predictor, windows))
        print(
            f"  {name:20} {figures.nats:6.3f} nats  top-1 {figures.top1:6.1%}  "
            f"top-5 {figures.top5:6.1%}  calibration error {figures.calibration_error:.3f}"
        )


def with_witten_bell(ngram: NGram) -> NGram:
    """Return `ngram` with weights that no song was left out for (Witten and Bell 1991)."""
    return replace(
        ngram,
        levels=tuple(
            replace(level, weights=level.totals / (level.totals + np.diff(level.starts)))
            for level in ngram.levels
        ),
    )


def time_random(tokens: int) -> None:
    """Print what random tokens take, of which nearly every context is a new one."""
    random = np.random.default_rng(0)
    songs = [
        np.repeat(random.zipf(1.5, 500) % VOCABULARY, 2) for _ in range(math.ceil(tokens / 1000))
    ]
    composed = [np.repeat(random.zipf(1.5, 150) % VOCABULARY, 2) for _ in range(16)]
    started = time.perf_counter()
    count_baselines(songs, VOCABULARY, WINDOW, (REST_TOKEN,))
    counted = time.perf_counter()
    copied_stretches(composed, songs, 25)
    print(
        f"{tokens} random tokens: baselines counted in {counted - started:.1f} s, 16 songs of 300 "
        f"frames looked for in {time.perf_counter() - counted:.1f} s"
    )


if __name__ == "__main__":
    main()
