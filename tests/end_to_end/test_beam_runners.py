"""Preprocessing on other runners than the default, and what their workers need: no TensorFlow."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import tomllib
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement

from tunesmith.music import REST, write_midi

ROOT = Path(__file__).resolve().parents[2]

# Python runs a module of this name at every start: workers are watched like their parents.
WATCH = """
import importlib.abc, os, sys

LOG = os.path.join(os.environ["WATCHED_PROCESSES"], str(os.getpid()))

def note(line):
    with open(LOG, "a") as file:
        file.write(line.replace("\\n", " ") + "\\n")

class NoTensorFlow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "keras"):
            note("IMPORTED " + name)
            raise ImportError(name + " is not for this process")

note("STARTED " + " ".join(sys.orig_argv))
sys.meta_path.insert(0, NoTensorFlow())
"""


class Watched(NamedTuple):
    """Processes that cannot import TensorFlow, and their log, one file each."""

    environment: dict[str, str]
    log: Path

    def lines(self) -> list[str]:
        return [line for file in self.log.iterdir() for line in file.read_text().splitlines()]

    def imported(self) -> list[str]:
        return [line for line in self.lines() if line.startswith("IMPORTED")]

    def started(self, word: str) -> int:
        """Count the processes whose command line has this word."""
        return sum(line.startswith("STARTED") and word in line for line in self.lines())


def watch(folder: Path) -> Watched:
    hook, log = folder / "hook", folder / "processes"
    hook.mkdir()
    log.mkdir()
    (hook / "sitecustomize.py").write_text(WATCH)
    environment = {"PYTHONPATH": str(hook), "WATCHED_PROCESSES": str(log)}
    return Watched(os.environ | environment, log)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return watch(tmp_path)


@pytest.fixture(scope="module")
def midi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty songs, enough for processes that read ahead, and a file that is none."""
    folder = tmp_path_factory.mktemp("midi")
    for number in range(60):
        notes = [(40 + number + step % 8,) for step in range(40)]
        write_midi([*notes, REST, (60,)], folder / f"{number}.mid", 5.0)
    (folder / "diary.mid").write_text("dear diary")
    return folder


def preprocess(
    python: str | Path, midi: Path, output: Path, environment: dict[str, str], *options: str
) -> dict[str, bytes]:
    """Run ``tunesmith preprocess`` and return every file that it left."""
    command = [python, "-m", "tunesmith.cli.main", "preprocess"]
    # Relative to a working directory that a worker need not share.
    command += ["--midi-dir", ".", "--output", os.path.relpath(output, midi), "--", *options]
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=environment,
        cwd=midi,
    )
    assert done.returncode == 0, done.stderr
    assert "60 songs" in done.stderr
    return {path.name: path.read_bytes() for path in output.iterdir()}


class DefaultRun(NamedTuple):
    """A run without any Beam option: the files that it left, and its processes."""

    left: dict[str, bytes]
    watched: Watched


@pytest.fixture(scope="module")
def default_run(midi: Path, tmp_path_factory: pytest.TempPathFactory) -> DefaultRun:
    folder = tmp_path_factory.mktemp("default")
    watched = watch(folder)
    left = preprocess(sys.executable, midi, folder / "out", watched.environment)
    return DefaultRun(left, watched)


def test_preprocessing_imports_no_tensorflow(default_run: DefaultRun) -> None:
    assert default_run.watched.started("tunesmith.components.example_gen.read_ahead") >= 1
    assert default_run.watched.imported() == []


def test_worker_processes_leave_the_same_files_without_tensorflow(
    midi: Path, default_run: DefaultRun, watched: Watched, tmp_path: Path
) -> None:
    options = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    left = preprocess(sys.executable, midi, tmp_path / "out", watched.environment, *options)
    assert left == default_run.left
    assert watched.started("sdk_worker_main") == 2
    assert watched.imported() == []


def test_the_watch_sees_tensorflow(watched: Watched) -> None:
    """The tests above would pass if their hook did not work."""
    command = [sys.executable, "-c", "import tensorflow"]
    done = subprocess.run(
        command, capture_output=True, check=False, timeout=60, env=watched.environment
    )
    assert done.returncode == 1
    assert watched.imported() == ["IMPORTED tensorflow"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``make wheel``, of a copy: setuptools leaves its own files beside the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, folder)
    for name in (path.parent.name for path in ROOT.glob("*/py.typed")):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    options = ["-q", "--disable-pip-version-check", "--no-deps", "--no-build-isolation"]
    run_pip("wheel", *options, "-w", str(folder / "dist"), str(folder))
    (built,) = (folder / "dist").glob("*.whl")
    return built


def run_pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has tunesmith from the wheel; the libraries are the tests' own."""
    home = tmp_path_factory.mktemp("worker") / "venv"
    venv.create(home, symlinks=True)
    paths = sysconfig.get_paths(vars={"base": str(home), "platbase": str(home)})
    packages = Path(paths["purelib"])
    # A .pth file found through another is not read: the checkout's editable install stays out.
    libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (packages / "libraries.pth").write_text("\n".join(sorted(libraries)))
    options = ["-q", "--disable-pip-version-check", "--no-deps", "--no-index"]
    run_pip("install", *options, "--target", str(packages), str(wheel))
    python = Path(paths["scripts"]) / "python"
    where = [python, "-c", "import tunesmith.components as found; print(found.__file__)"]
    found = subprocess.run(where, capture_output=True, text=True, check=True, timeout=60, cwd=home)
    assert found.stdout.startswith(str(packages))
    return python


@contextmanager
def running(log: Path, environment: dict[str, str], *command: object) -> Iterator[Path]:
    """A program of Beam's, until the block ends; gives its log."""
    with log.open("w") as file:
        program = subprocess.Popen(
            list(map(str, command)), stderr=file, stdout=file, env=environment, cwd=log.parent
        )
        try:
            yield log
        finally:
            program.terminate()
            program.wait(30)


def port_in(log: Path, pattern: str) -> str:
    deadline = time.monotonic() + 60
    while not (found := re.search(pattern, log.read_text())):
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    return found[1]


def test_a_worker_of_another_process_needs_the_wheel_alone(
    wheel: Path,
    wheel_python: Path,
    midi: Path,
    default_run: DefaultRun,
    watched: Watched,
    tmp_path: Path,
) -> None:
    """A job server and a worker pool, as a cluster has them: nothing is shared but the files."""
    path = f"{wheel_python.parent}{os.pathsep}{os.environ['PATH']}"
    environment = watched.environment | {"PATH": path}
    module = [wheel_python, "-m"]
    server_module = "apache_beam.runners.portability.local_job_service_main"
    server_command = [*module, server_module, "--staging_dir", tmp_path / "staged"]
    pool_command = [*module, "apache_beam.runners.worker.worker_pool_main", "--service_port=0"]
    with (
        running(tmp_path / "server.log", environment, *server_command) as server,
        running(tmp_path / "pool.log", environment, *pool_command) as pool,
    ):
        options = [
            "--runner=PortableRunner",
            "--job_endpoint=localhost:" + port_in(server, r"jobs on port (\d+)"),
            "--environment_type=EXTERNAL",
            "--environment_config=localhost:" + port_in(pool, r"servicer at port: \S+:(\d+)"),
            f"--extra_package={wheel}",
        ]
        left = preprocess(wheel_python, midi, tmp_path / "out", environment, *options)
    assert left == default_run.left
    assert watched.started("SdkHarness") == 1
    assert watched.imported() == []
    (staged,) = (tmp_path / "staged").glob("*/*.whl")
    assert staged.read_bytes() == wheel.read_bytes()


def needed(name: str, extras: frozenset[str], found: set[str]) -> set[str]:
    """Return the names of everything that a distribution needs, itself included."""
    found.add(name)
    for line in metadata.requires(name) or []:
        requirement = Requirement(line)
        marker = requirement.marker
        if marker and not any(marker.evaluate({"extra": extra}) for extra in extras | {""}):
            continue
        if requirement.name not in found or requirement.extras:
            needed(requirement.name, frozenset(requirement.extras), found)
    return found


def test_what_a_worker_installs_has_no_tensorflow() -> None:
    names = needed("tunesmith", frozenset({"beam"}), set())
    assert "apache-beam" in names
    assert [name for name in names if re.match("tensorflow|keras", name)] == []


def test_the_image_of_a_worker_has_the_pinned_beam() -> None:
    image = (ROOT / "Dockerfile.worker").read_text()
    (version,) = re.findall(r"^ARG BEAM_VERSION=(\S+)$", image, re.MULTILINE)
    assert f"apache-beam=={version}\n" in (ROOT / "constraints.txt").read_text()
    (python,) = re.findall(r"^ARG PYTHON_VERSION=(\S+)$", image, re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"].startswith(f">={python},")


def test_the_image_of_a_worker_copies_what_docker_may_see() -> None:
    image = (ROOT / "Dockerfile.worker").read_text()
    (line,) = re.findall(r"^COPY (?!--from)(.*) \S+$", image, re.MULTILINE)
    ignore = (ROOT / "Dockerfile.worker.dockerignore").read_text().splitlines()
    assert {f"!{path}" for path in line.split()} == {each for each in ignore if each[:1] == "!"}
    assert "*" in ignore
