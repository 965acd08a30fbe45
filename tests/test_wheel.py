"""The distributions: what the wheel holds, built from the source distribution as a release is."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = sorted(path.parent.name for path in ROOT.glob("*/py.typed"))
BESIDE = (
    "pyproject.toml",
    "setup.py",
    "MANIFEST.in",
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    "NOTICE",
)

BUILD = """
import sys
from setuptools import build_meta
print(getattr(build_meta, f"build_{sys.argv[1]}")(sys.argv[2]))
"""


def built(kind: str, source: Path, output: Path) -> Path:
    """Build ``sdist`` or ``wheel`` out of a folder of sources."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", BUILD, kind, str(output)],
        capture_output=True,
        text=True,
        check=False,
        cwd=source,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    return output / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source distribution of a copy: setuptools leaves its own files beside the sources."""
    folder = tmp_path_factory.mktemp("source")
    for name in BESIDE:
        shutil.copy(ROOT / name, folder)
    for name in (*PACKAGES, "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return built("sdist", folder, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel_names(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of the files in the wheel."""
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    [folder] = unpacked.iterdir()
    wheel = built("wheel", folder, tmp_path_factory.mktemp("wheel"))
    return set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_holds_every_file_of_the_packages(wheel_names: set[str]) -> None:
    there = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    expected = {each if each.startswith("tunesmith/") else f"tunesmith/{each}" for each in there}
    assert {each for each in wheel_names if each.startswith("tunesmith/")} == expected


def test_the_wheel_carries_its_licences(wheel_names: set[str]) -> None:
    licences = {PurePosixPath(each).name for each in wheel_names if "/licenses/" in each}
    assert licences == {"LICENSE", "NOTICE"}


def test_the_source_distribution_holds_no_tests(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {PurePosixPath(each).parts[1] for each in archive.getnames() if "/" in each}
    assert {"CHANGELOG.md", "NOTICE", *PACKAGES} <= names
    assert "tests" not in names
