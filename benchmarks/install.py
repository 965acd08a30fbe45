"""Installation and import of the client, compared with the base install of release 0.1.0.

Each is installed from a wheel with constraints.txt into a new environment, in turns. One install
before them fills pip's cache, so that the network does not matter.

    python benchmarks/install.py [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent

FORMER = "base and click, rich, pillow"
"""The base install of release 0.1.0, with today's code."""

INSTALLS: dict[str, tuple[str, tuple[str, ...]]] = {
    "base": ("", ()),
    "[cli]": ("[cli]", ()),
    FORMER: ("", ("click", "rich", "pillow")),
}
"""An installation: an extra of the wheel, and other distributions."""

IMPORTED = """
import time
started = time.process_time()
from tunesmith.client import Composer
print(time.process_time() - started)
"""

IMPORTS = 10
"""Imports of each environment, of which the quickest counts; the first compiles the modules."""


def pip(*arguments: str) -> None:
    """Run this environment's pip."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def built_wheel(folder: Path) -> Path:
    """Build the wheel of this checkout into `folder`."""
    # setuptools would put modules into it that were built before and removed since.
    shutil.rmtree(ROOT / "build" / "lib", ignore_errors=True)
    pip("wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT))
    [wheel] = folder.glob("*.whl")
    return wheel


class Measured(NamedTuple):
    """Seconds and processor seconds of an install, megabytes, processor seconds of an import."""

    install: float
    processor: float
    size: float
    imported: float


def measure(wheel: Path, extra: str, others: tuple[str, ...]) -> Measured:
    """Install into an environment of its own, and import the client there."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=False)
        python = str(Path(folder, "bin", "python"))
        started, used = time.perf_counter(), processor_seconds()
        pip(
            *("--python", python, "install", "-q", "-c", str(ROOT / "constraints.txt")),
            *(f"{wheel}{extra}", *others),
        )
        seconds, used = time.perf_counter() - started, processor_seconds() - used
        [packages] = Path(folder, "lib").glob("python*/site-packages")
        size = sum(path.stat().st_size for path in packages.rglob("*") if path.is_file()) / 1e6
        imports = [
            float(subprocess.check_output([python, "-c", IMPORTED], cwd=folder, text=True))
            for _ in range(IMPORTS)
        ]
        return Measured(seconds, used, size, min(imports))


def processor_seconds() -> float:
    """Return what the processes that this one has waited for have used."""
    times = os.times()
    return times.children_user + times.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each wheel")
    rounds = parser.parse_args().rounds
    seen: dict[str, list[Measured]] = {name: [] for name in INSTALLS}
    with tempfile.TemporaryDirectory() as folder:
        wheel = built_wheel(Path(folder))
        measure(wheel, *INSTALLS[FORMER])
        for _ in range(rounds):
            for name, (extra, others) in INSTALLS.items():
                seen[name].append(measure(wheel, extra, others))
    medians = {
        name: Measured(*(statistics.median(each) for each in zip(*values, strict=True)))
        for name, values in seen.items()
    }
    print(
        f"{'':32}{'install s':>10}{'CPU s':>8}{'MB':>8}{'import CPU s':>14}   (medians of {rounds})"
    )
    for name, each in medians.items():
        print(
            f"{name:32}{each.install:10.1f}{each.processor:8.1f}{each.size:8.1f}"
            f"{each.imported:14.3f}"
        )
    ratios = (ours / theirs for ours, theirs in zip(medians["base"], medians[FORMER], strict=True))
    print(
        "base / former base: {:.2f} of the time, {:.2f} CPU, {:.2f} MB, {:.2f} import".format(
            *ratios
        )
    )


if __name__ == "__main__":
    main()
