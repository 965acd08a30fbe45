"""Fine-tuning on few songs: a tuned model compared with a model of the same songs alone.

    python benchmarks/tuning.py [--parent FOLDER] [--parent-track TRACK] [--style FOLDER]
        [--style-track TRACK] [--learn 6] [--parent-seconds 100] [--seconds 60] [--work FOLDER]

Trains a parent on the songs of one folder (its Trainer gets ``--parent-seconds``). Then it trains
on ``--learn`` songs of the other folder, with ``tunesmith tune`` and with ``tunesmith run``, whose
Trainers get ``--seconds`` each. Prints the nats per frame of the other songs of that folder. Both
use the same events, the frames of the training songs; a held-out frame outside them counts as the
nearest one, and the share of these is printed. Probability that the tuned model gives to other
frames of its parent counts as lost. Exits with 1 if tuning is not better.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tunesmith.components.artifacts import Examples
from tunesmith.components.evaluator.likelihood import Predictor
from tunesmith.components.records.eval_windows import EvalWindows
from tunesmith.components.records.tfrecord import read_tokens
from tunesmith.components.saved_predictor import SavedPredictor
from tunesmith.components.sources.source import list_songs

TUNESMITH = (sys.executable, "-m", "tunesmith.cli.main")
DATA = Path("../shared/data")


def pipeline(command: str, midi: Path, root: Path, *options: object) -> Path:
    """Run the pipeline without its demands, and return the version that it published."""
    given = ["--midi-dir", midi, "--root", root, "--beat", "none", "--sampling-seconds", 0]
    started = time.monotonic()
    subprocess.run([*TUNESMITH, command, *map(str, [*given, *options])], check=True)
    print(f"{command} took {time.monotonic() - started:.0f} s", flush=True)
    return root / "models" / "tunesmith" / "1"


def nats(predictor: Predictor, held: EvalWindows) -> float:
    """Return the mean negative log likelihood of the frames, in nats."""
    total = 0.0
    for windows, targets in held.batches():
        rows = predictor.probabilities(windows)
        total -= float(np.log(rows[np.arange(len(targets)), targets]).sum())
    return total / len(held)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--parent", type=Path, default=DATA / "pop909", help="folder of MIDI files of the parent"
    )
    parser.add_argument("--parent-track", default="name:MELODY", help="track choice of the parent")
    parser.add_argument(
        "--style", type=Path, default=DATA / "jj_lin", help="folder of MIDI files of the style"
    )
    parser.add_argument("--style-track", default="first", help="track choice of the style")
    parser.add_argument("--learn", type=int, default=6, help="number of songs to train on")
    parser.add_argument(
        "--parent-seconds", type=float, default=100.0, help="time limit of the parent's Trainer"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="time limit of both Trainers")
    parser.add_argument(
        "--work", type=Path, help="folder for the results, kept; a parent in it is used again"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        parent = work / "parent" / "models" / "tunesmith" / "1"
        if not parent.is_dir():
            limit = ("--track", options.parent_track, "--max-seconds", options.parent_seconds)
            pipeline("run", options.parent, work / "parent", *limit)
        songs = len(list_songs(options.style).files)
        both = [
            *("--eval-fraction", 1 - options.learn / songs, "--track", options.style_track),
            *("--max-seconds", options.seconds, "--allow", "high-mapped-share"),
        ]
        alone = pipeline("run", options.style, work / "alone", *both)
        tuned = pipeline("tune", options.style, work / "tuned", "--model", parent, *both)
        (made,) = (work / "alone").glob("Transform/*")
        sys.exit(not report(Examples(made, ""), alone, tuned))


def report(examples: Examples, alone: Path, tuned: Path) -> bool:
    """Print both models' nats on the eval split; returns whether the tuned one's are fewer."""
    songs = read_tokens(examples.shards("eval"))
    names = examples.vocabulary().names
    share = examples.statistics()["splits"]["eval"]["mapped_share"]
    print(f"{len(songs)} held-out songs, {share:.1%} of the frames unknown")
    found = []
    for name, version in (("alone", alone), ("tuned", tuned)):
        predictor = SavedPredictor.load(version)
        vocabulary = predictor.vocabulary
        place = {known: token for token, known in enumerate(vocabulary.names)}
        tokens = np.array([place[each] for each in names], np.int32)
        held = EvalWindows.of([tokens[s] for s in songs], predictor.window, vocabulary.rests)
        parts = {part: nats(each, held) for part, each in predictor.parts().items()}
        found.append(nats(predictor, held))
        row = "  ".join(f"{part} {value:.3f}" for part, value in parts.items())
        print(f"{name}: {found[-1]:.3f} nats a frame, {len(place)} tokens ({row})", flush=True)
    print(f"tuned / alone: {found[1] / found[0]:.3f}")
    return found[1] < found[0]


if __name__ == "__main__":
    main()
