"""Kills ``tunesmith preprocess`` at random moments: its output must be the old or the new one.

    python benchmarks/kills.py ../shared/data/jj_lin --kills 30

preprocesses the folder at five frames per second. Then it starts the command again and again at
four frames per second, kills it (SIGKILL) at a random moment, and checks the output. The last run
is not killed; its output must equal that of an undisturbed run. Exits with 1 if a check fails.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path


def start(midi: Path, output: Path, speed: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tunesmith.cli.main", "preprocess", "--midi-dir", str(midi)]
    command += ["--output", str(output), "--fps", str(speed)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def digest(folder: Path) -> str:
    """Return what names a folder's content."""
    content = hashlib.blake2b()
    for path in sorted(folder.rglob("*")):
        content.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes() + b"\0")
    return content.hexdigest()


def whole_run(midi: Path, output: Path, speed: int) -> tuple[str, float]:
    """Return the digest of a run's output, and its seconds."""
    begun = time.monotonic()
    if start(midi, output, speed).wait():
        raise SystemExit(f"preprocessing {midi} failed")
    return digest(output), time.monotonic() - begun


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
    told = parser.parse_args()
    chance = random.Random(told.seed)
    seen: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as work:
        new, seconds = whole_run(told.folder, Path(work, "unkilled"), 4)
        output = Path(work, "out")
        old, _ = whole_run(told.folder, output, 5)
        for _ in range(told.kills):
            process = start(told.folder, output, 4)
            time.sleep(chance.uniform(0, seconds))
            process.kill()
            process.wait()
            found = digest(output) if output.exists() else ""
            seen[{old: "old", new: "new", "": "absent"}.get(found, "BROKEN")] += 1
            if found == new:
                whole_run(told.folder, output, 5)
        last, _ = whole_run(told.folder, output, 4)
        left = [path.name for path in Path(work).iterdir() if path.name.startswith(".")]
    print(f"{told.kills} kills within {seconds:.1f} s: " + ", ".join(map(str, seen.items())))
    print(f"the run left alone: {'as unkilled' if last == new else 'DIFFERS'}, left beside: {left}")
    return int(bool(seen["BROKEN"]) or last != new or bool(left))


if __name__ == "__main__":
    sys.exit(main())
