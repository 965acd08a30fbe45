"""Music measures of generated songs compared with the training songs.

    python benchmarks/songs.py --model-dir ROOT/models/tunesmith --root ROOT
        [--seeds 0 1 2] [--songs 64] [--steps 300] [--temperature T] [--top-k K] [--top-p P]

Songs are generated from silence with the `generate` signature, by default with the recommended
sampling, and measured as in docs/evaluation.md. The table has one row for each measure: the
quantiles of the corpus and, for each seed, the number of songs between its 5 and 95 % quantiles and
their median, with a mark if the median is not between the 25 and 75 % quantiles, widened by the
error of the corpus's median. Measures of copied stretches only have to stay below the 95 % quantile
of held-out songs. A ! marks a measure that misses its goal; then the exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.cli.model_folder import base_path
from tunesmith.components.artifacts import Examples
from tunesmith.components.evaluator.song_measures import (
    COPIED_MEASURES,
    QUANTILES,
    describe_music,
)
from tunesmith.components.pusher.versions import versions_of
from tunesmith.components.records.padding import padding
from tunesmith.components.records.tfrecord import read_tokens
from tunesmith.components.runtime import load_tensorflow
from tunesmith.components.sampling import RecommendedSampling
from tunesmith.components.saved_predictor import SavedPredictor

COPIED_FRAMES = 25
"""Length of copied stretches, the default of the Evaluator."""

GOAL = 58 / 64
"""Share of the songs that lie within the corpus's 5 to 95 %, on each measure."""


def main() -> None:
    options = parsed()
    tf = load_tensorflow()
    with base_path(options.model_dir) as base:
        version = base / str(versions_of(base)[-1])
        model = SavedPredictor.load(version)
        generate = tf.saved_model.load(str(version)).signatures["generate"]
    given = {
        name: value
        for name in ("temperature", "top_k", "top_p")
        if (value := getattr(options, name)) is not None
    }
    sampling = RecommendedSampling(**given) if given else model.sampling
    examples = newest_examples(options.root)
    train, held_out = (read_tokens(examples.shards(split)) for split in ("train", "eval"))
    print(
        f"{options.model_dir}: {options.songs} songs of {options.steps} frames a seed, temperature "
        f"{sampling.temperature:g}, top-k {sampling.top_k}, top-p {sampling.top_p:g}; beside "
        f"{len(train)} training songs, {len(held_out)} held out, of {examples.path}"
    )
    found = []
    for seed in options.seeds:
        started = time.perf_counter()
        songs = draw(tf, generate, model, sampling, options.songs, options.steps, seed)
        took = time.perf_counter() - started
        print(f"seed {seed}: drawn in {took:.1f} s", file=sys.stderr)
        found.append(
            describe_music(
                model.vocabulary,
                list(songs),
                train,
                train,
                held_out,
                options.steps,
                COPIED_FRAMES,
            )
        )
    sys.exit(0 if report(found, options.songs) else 1)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model-dir", type=Path, required=True, help="model folder")
    parser.add_argument("--root", type=Path, required=True, help="root of the pipeline")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="random seeds")
    parser.add_argument("--songs", type=int, default=64, help="songs for each seed")
    parser.add_argument("--steps", type=int, default=300, help="frames of each song")
    parser.add_argument("--temperature", type=float, help="sampling temperature")
    parser.add_argument("--top-k", type=int, help="top-k")
    parser.add_argument("--top-p", type=float, help="top-p")
    return parser.parse_args()


def newest_examples(root: Path) -> Examples:
    """Return what Transform left last in a pipeline's root."""
    folders = [each for each in root.glob("Transform/*") if each.name.isdigit()]
    if not folders:
        raise SystemExit(f"{root} holds no songs of a Transform")
    return Examples(max(folders, key=lambda each: int(each.name)), "")


def draw(
    tf: Any,
    generate: Any,
    model: SavedPredictor,
    sampling: RecommendedSampling,
    songs: int,
    steps: int,
    seed: int,
) -> NDArray[np.int32]:
    """Return int32 [songs, tokens], each song from silence."""
    rests = model.vocabulary.rests
    silence = np.tile(padding(rests, model.window), (songs, 1))
    seeds = np.random.SeedSequence(seed).generate_state(songs, np.uint64) >> np.uint64(1)
    served = {name: tf.fill([songs], value) for name, value in sampling.served().items()}
    drawn = generate(
        tokens=tf.constant(silence),
        steps=tf.fill([songs], steps * len(rests)),
        seed=tf.constant(seeds.astype(np.int64)),
        **served,
    )
    tokens: NDArray[np.int32] = drawn["tokens"].numpy()
    return tokens


def report(found: list[dict[str, Any]], songs: int) -> bool:
    """Print the table and return whether the goal is met on every measure by every seed."""
    names = "5 %", "25 %", "median", "75 %", "95 %"
    print("| measure | " + " | ".join(names) + " | within, by seed | median, by seed |")
    print("| --- |" + " --- |" * (len(names) + 2))
    met = True
    for name, first in found[0].items():
        corpus = first["corpus"]
        if not corpus["songs"]:
            continue
        copied = name in COPIED_MEASURES
        within, medians = [], []
        for music in found:
            ours = music[name]["model"]
            count = int(inside(music[name], not copied).sum())
            enough = count >= GOAL * songs
            near = copied or bool(ours["median_within"])
            within.append(f"{count}{'' if enough else '!'}")
            middle = "-" if ours["median"] is None else f"{ours['median']:.3g}"
            medians.append(f"{middle}{'' if near else '!'}")
            met &= enough and near
        quantiles = " | ".join(f"{corpus[each]:.3g}" for each in QUANTILES)
        print(f"| {name} | {quantiles} | {' '.join(within)} | {' '.join(medians)} |")
    whole = [int(everywhere(music).sum()) for music in found]
    print(f"within on every measure but copying: {' '.join(map(str, whole))} of {songs} songs")
    print("the goal is met" if met else "! falls short of the goal")
    return met


def inside(entry: dict[str, Any], from_below: bool) -> NDArray[np.bool_]:
    """Return which songs lie within the corpus's range of a measure, bool [songs]."""
    values = np.array(entry["model"]["values"], dtype=np.float64)
    low = entry["corpus"]["low"] if from_below else -np.inf
    return (values >= low) & (values <= entry["corpus"]["high"])


def everywhere(music: dict[str, Any]) -> NDArray[np.bool_]:
    """Return which songs lie within the corpus's range of each measure, bool [songs]."""
    rows = [
        inside(entry, True)
        for name, entry in music.items()
        if name not in COPIED_MEASURES and entry["corpus"]["songs"]
    ]
    result: NDArray[np.bool_] = np.all(rows, axis=0)
    return result


if __name__ == "__main__":
    main()
