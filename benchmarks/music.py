"""Nats of the served model on held-out music, compared with all baselines.

    python benchmarks/music.py [--corpora chorales jj_lin pop909] [--splits 1] [--data FOLDER]

Runs ``tunesmith run`` on each corpus (on the chorales with the settings of the demo) and prints the
results of its Evaluator: nats per held-out frame of the model, of its parts and of the baselines.
``--splits`` repeats it with other held-out songs and prints the mean. All use the same events, the
frames of the training songs; a held-out frame outside them counts as the nearest one, and the share
of these is printed. Exits with 1 if a mean is above its limit (the nats of docs/evaluation.md).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from tunesmith.cli.console import ConsoleProgress
from tunesmith.cli.demo import TRAINING_SECONDS
from tunesmith.components.sources.chorales import FRAMES_PER_SECOND, write_chorales

TUNESMITH = (sys.executable, "-m", "tunesmith.cli.main")


@dataclass(frozen=True)
class Corpus:
    """A corpus, its limit of nats, and the options of its run.

    Args:
        asked: nats a held-out frame.
        goal: likewise.
        options: of ``tunesmith run``.
    """

    asked: float
    goal: float
    options: tuple[str, ...] = ()


DEMO = (
    *("--track", "all", "--fps", str(FRAMES_PER_SECOND), "--max-seconds", str(TRAINING_SECONDS)),
    *("--units", "64", "--learning-rate", "0.003"),
)
"""Options of ``tunesmith demo``."""

CORPORA = {
    "chorales": Corpus(2.0, 1.9, DEMO),
    "jj_lin": Corpus(2.35, 2.1),
    "pop909": Corpus(1.25, 1.18, ("--track", "name:MELODY", "--max-seconds", "800")),
}


def run(name: str, midi: Path, seed: int, root: Path) -> dict[str, Any]:
    """Run the pipeline; returns evaluation.json, and under ``wall`` the seconds it took."""
    options = ["--midi-dir", str(midi), "--root", str(root), *CORPORA[name].options]
    options += ["--split-seed", str(seed)]
    started = time.monotonic()
    done = subprocess.run(
        [*TUNESMITH, "run", *options], capture_output=True, text=True, check=False
    )
    wall = time.monotonic() - started
    # A gate that refuses leaves an evaluation as well.
    found = list(root.glob("Evaluator/*/evaluation.json"))
    if done.returncode not in (0, 3) or not found:
        sys.exit(done.stderr)
    statistics = json.loads(next(root.glob("Transform/*/statistics.json")).read_text("utf-8"))
    evaluation: dict[str, Any] = json.loads(found[0].read_text("utf-8"))
    return {**evaluation, "wall": wall, "splits_read": statistics["splits"]}


def figures(evaluation: dict[str, Any]) -> dict[str, float]:
    """Return nats a held-out frame by name."""
    model = {"model": evaluation["splits"]["eval"]["nats"]}
    parts = {name: each["eval"]["nats"] for name, each in evaluation["parts"].items()}
    baselines = {name: each["eval"]["nats"] for name, each in evaluation["baselines"].items()}
    return {**model, **parts, **baselines}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--corpora", nargs="+", choices=CORPORA, default=list(CORPORA), help="corpora to measure"
    )
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder of the corpora"
    )
    parser.add_argument("--splits", type=int, default=1, help="number of splits")
    options = parser.parse_args()
    missed = False
    for name in options.corpora:
        with tempfile.TemporaryDirectory() as folder:
            midi = options.data.absolute() / name
            if name == "chorales":
                midi = Path(folder, "midi")
                write_chorales(midi, ConsoleProgress())
            found = []
            for seed in range(options.splits):
                evaluation = run(name, midi, seed, Path(folder, f"root{seed}"))
                found.append(figures(evaluation))
                unknown = evaluation["splits_read"]["eval"]["mapped_share"]
                row = "  ".join(f"{key} {value:.3f}" for key, value in found[-1].items())
                blessed = "blessed" if evaluation["blessed"] else "not blessed"
                print(
                    f"{name}, split {seed}, {evaluation['wall']:.0f} s, {blessed}, "
                    f"{unknown:.1%} of the held-out frames unknown: {row}",
                    flush=True,
                )
            means = {key: fmean(each[key] for each in found) for key in found[0]}
            asked = CORPORA[name]
            ratio = means["model"] / means["5-gram+window"]
            print(
                f"{name}, mean of {len(found)}: model {means['model']:.3f} nats (asked "
                f"{asked.asked}, goal {asked.goal}), {ratio:.3f} of 5-gram+window "
                f"({means['5-gram+window']:.3f})",
                flush=True,
            )
            missed |= means["model"] > asked.asked
    sys.exit(missed)


if __name__ == "__main__":
    main()
