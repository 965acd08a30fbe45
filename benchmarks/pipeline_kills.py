"""Kills ``tunesmith run`` at random moments: model and records must equal an undisturbed run.

    python benchmarks/pipeline_kills.py ../shared/data/jj_lin --kills 30

runs the pipeline once without a kill. Then it starts runs in a new root and kills each (SIGKILL,
with its child processes) at a random moment within the duration of the first run, until a run ends
before its kill. That root is compared, and the next one begins. The last run is not killed.
``--options`` replaces the options that make the run small.

Compared are: the artifacts of complete executions, byte for byte except the files of
:data:`UNEQUAL` and the seconds of training; the records (which component made which artifact, by
digest, from which inputs, with which parameters and code, each exactly once); the digests of the
MIDI files; the served versions; and that there are no incomplete files. Not compared are times, the
numbers of executions, and killed executions. Exits with 1 if there is a difference.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tunesmith.pipeline.history import Run, read_runs
from tunesmith.pipeline.lineage import read_lineage

SMALL = (
    *("--units", "8", "--embedding", "8", "--layers", "1", "--dense", "8", "--epochs", "2"),
    *("--checkpoint-steps", "20", "--beat", "none", "--latency-ms", "10000"),
)
"""A small network, two epochs, checkpoints every twenty steps; gates that let it pass."""

UNEQUAL = (
    # TensorFlow gives each SavedModel that it writes a random number.
    r"(.*/)?fingerprint\.pb",
    # Its functions are named by a count of all that the process traced, training included. What was
    # learned lies beside it, in variables/, and is compared.
    r"(.*/)?saved_model\.pb",
    # When it was published; which model it is, the record says too.
    r"(.*/)?tunesmith_origin\.json",
    # How quickly the engine answered.
    r"InfraValidator/.*",
)
"""Files in which two equal runs differ, as patterns of their paths."""


def start(midi: Path, root: Path, options: tuple[str, ...]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tunesmith.cli.main", "run", "--midi-dir", str(midi)]
    command += ["--root", str(root), *options]
    # A session of its own, so that a kill takes its children with it.
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a run and its children at once."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def result_of(root: Path) -> dict[str, Any]:
    """Return what must be the same however often a run was killed, by the name of what it is."""
    runs = read_runs(root)
    found: dict[str, Any] = {
        "executions that completed": sorted(
            step.component for run in runs for step in _executed(run)
        ),
        "executions that nobody ended": sum(
            step.outcome == "running" for run in runs for step in run.steps
        ),
        "left half-written": sorted(
            str(path.relative_to(root)) for path in root.rglob(".*.partial-*")
        ),
        "checkpoints left": sorted(path.name for path in root.glob("checkpoints/*")),
        "versions": sorted(str(path.relative_to(root)) for path in root.glob("models/*/*")),
    }
    for version in found["versions"]:
        lineage = read_lineage(version, root)
        found[f"{version}: files"] = [vars(file) for file in lineage.sources()[0].files]
        for execution in lineage.executions:
            made = execution.output
            assert made is not None
            found[f"{version}: {execution.component}"] = {
                "parameters": execution.parameters,
                "code": execution.code,
                "outcome": execution.outcome,
                "artifact": (made.type, made.digest),
                "inputs": {
                    name: (each.type, each.digest) for name, each in execution.inputs.items()
                },
            }
    for run in runs:
        for step in _executed(run):
            assert step.artifact is not None
            found |= _contents(root / step.artifact, step.component)
    return found


def _executed(run: Run) -> list[Any]:
    return [step for step in run.steps if step.outcome == "complete" and not step.skipped]


def _contents(folder: Path, name: str) -> dict[str, str]:
    """Return the digests of a folder's files by their path below it, which `name` precedes."""
    contents = {}
    for path in sorted(folder.rglob("*")):
        shown = f"{name}/{path.relative_to(folder)}"
        if path.is_file() and not any(re.fullmatch(each, shown) for each in UNEQUAL):
            content = path.read_bytes()
            if path.suffix == ".json":
                content = json.dumps(_untimed(json.loads(content))).encode()
            contents[shown] = hashlib.blake2b(content, digest_size=8).hexdigest()
    return contents


def _untimed(content: Any) -> Any:
    """Return what JSON holds, without how long anything took."""
    if isinstance(content, dict):
        return {name: _untimed(each) for name, each in content.items() if name != "seconds"}
    return [_untimed(each) for each in content] if isinstance(content, list) else content


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Return a line for each thing in which two results differ."""
    return [
        f"{name}: {one.get(name)} against {other.get(name)}"
        for name in sorted({*one, *other})
        if one.get(name) != other.get(name)
    ]


def under_way(root: Path) -> str:
    """Return the component that the last run of a root was at when it was killed."""
    try:
        runs = read_runs(root, last=1)
    except Exception as error:  # noqa: BLE001 - a record that is not there yet tells as much
        return "before the record" if not root.exists() else type(error).__name__
    killed = [step.component for run in runs for step in run.steps if step.outcome == "killed"]
    return killed[-1] if killed else "between components"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=Path("../shared/data/jj_lin"),
        help="folder of MIDI files",
    )
    parser.add_argument("--kills", type=int, default=30, help="number of kills")
    parser.add_argument("--seed", type=int, default=0, help="random seed")
    parser.add_argument(
        "--options", default=shlex.join(SMALL), help="options of tunesmith run, in quotes"
    )
    told = parser.parse_args()
    options = tuple(shlex.split(told.options))
    chance = random.Random(told.seed)
    moments: Counter[str] = Counter()
    different: list[str] = []
    roots = 0
    with tempfile.TemporaryDirectory() as work:
        begun = time.monotonic()
        if start(told.folder, Path(work, "unkilled"), options).wait():
            raise SystemExit("the undisturbed run failed: see it with tunesmith run")
        seconds = time.monotonic() - begun
        expected = result_of(Path(work, "unkilled"))
        while moments.total() < told.kills:
            roots += 1
            root = Path(work, str(roots))
            while True:
                process = start(told.folder, root, options)
                left_alone = moments.total() == told.kills
                try:
                    code = process.wait(None if left_alone else chance.uniform(0, seconds))
                    break
                except subprocess.TimeoutExpired:
                    kill(process)
                    moments[under_way(root)] += 1
            if code:
                different.append(f"root {roots}: the last run ended with {code}")
            else:
                lines = differences(expected, result_of(root))
                different += [f"root {roots}: {line}" for line in lines]
    print(f"{told.kills} kills within {seconds:.1f} s, {roots} roots; at work were: ", end="")
    print(", ".join(f"{name} {count}" for name, count in moments.most_common()))
    print(f"{len(expected)} things compared in each root: {len(different)} differ")
    print("\n".join(different))
    return int(bool(different))


if __name__ == "__main__":
    sys.exit(main())
