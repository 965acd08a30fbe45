"""Installation and import of the client, compared with the base install of release 0.1.0.

Each is installed from a wheel with constraints.txt into a new environment, in turns. The first turn
fills pip's cache and is not counted, so that the network does not matter.

    python benchmarks/install.py [--rounds 3]
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

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
started = time.perf_counter()
from tunesmith.client import Composer
print(time.perf_counter() - started)
"""

IMPORTS = 5
"""Imports of each environment, of which the median counts; one before them compiles the modules."""


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


def measure(wheel: Path, extra: str, others: tuple[str, ...]) -> tuple[float, float, float]:
    """Return seconds of the install, megabytes on the disk and seconds of the client's import."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=False)
        python = str(Path(folder, "bin", "python"))
        started = time.perf_counter()
        pip(
            *("--python", python, "install", "-q", "-c", str(ROOT / "constraints.txt")),
            *(f"{wheel}{extra}", *others),
        )
        seconds = time.perf_counter() - started
        [packages] = Path(folder, "lib").glob("python*/site-packages")
        size = sum(path.stat().st_size for path in packages.rglob("*") if path.is_file()) / 1e6
        imports = [
            float(subprocess.check_output([python, "-c", IMPORTED], cwd=folder, text=True))
            for _ in range(IMPORTS + 1)
        ]
        return seconds, size, statistics.median(imports[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each wheel")
    rounds = parser.parse_args().rounds
    seen: dict[str, list[tuple[float, float, float]]] = {name: [] for name in INSTALLS}
    with tempfile.TemporaryDirectory() as folder:
        wheel = built_wheel(Path(folder))
        for turn in range(rounds + 1):
            for name, (extra, others) in INSTALLS.items():
                measured = measure(wheel, extra, others)
                if turn:
                    seen[name].append(measured)
    medians = {
        name: [statistics.median(each) for each in zip(*values, strict=True)]
        for name, values in seen.items()
    }
    print(f"{'':32}{'install s':>10}{'MB':>10}{'import s':>10}   (medians of {rounds})")
    for name, (seconds, size, imported) in medians.items():
        print(f"{name:32}{seconds:10.1f}{size:10.1f}{imported:10.3f}")
    ratios = [ours / theirs for ours, theirs in zip(medians["base"], medians[FORMER], strict=True)]
    print(
        "base / former base: {:.2f} of the time, {:.2f} of the disk, {:.2f} of the import".format(
            *ratios
        )
    )


if __name__ == "__main__":
    main()
