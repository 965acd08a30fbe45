"""The extras: commands in a process that sees the libraries of some of them alone.

Libraries that these extras do not bring are hidden from the process, as if they were not installed.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tunesmith.cli.main import SUBCOMMANDS

ROOT = Path(__file__).resolve().parent.parent

HIDING = """
import sys
from importlib.machinery import PathFinder
hidden = frozenset({hidden!r})
class Hiding(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] not in hidden:
            return super().find_spec(name, path, target)
sys.meta_path[:] = [Hiding if each is PathFinder else each for each in sys.meta_path]
sys.argv = ["tunesmith", *{arguments!r}]
from tunesmith.cli.script import main
main()
"""

NEEDS_MORE_THAN_CLI = {
    "demo": ["--dir", "{folder}/demo"],
    "run": ["--midi-dir", "{folder}/midi", "--root", "{folder}/root"],
    "tune": [
        "--model",
        "{old}/models/tunesmith/1",
        "--midi-dir",
        "{folder}/midi",
        "--root",
        "{folder}/root",
    ],
    "preprocess": ["--midi-dir", "{folder}/midi", "--output", "{folder}/out"],
    "serve": ["--model-dir", "{folder}", "--engine", "embedded"],
    "generate": ["--model-dir", "{folder}", "--out", "{folder}/song.mid"],
    "component": ["ExampleGen", "--root", "{old}", "--input", "{folder}/midi"],
}
"""Subcommands that cannot do anything with the extra ``cli`` alone, and arguments of each."""

NEEDS_CLI = {
    "runs": ["--root", "{old}"],
    "lineage": ["{old}/models/tunesmith/1"],
    "versions": ["--root", "{old}"],
    "rollback": ["--model-dir", "{old}/models/tunesmith", "--to", "1"],
}
"""Subcommands that need no more, and arguments of each that succeed on the root of a release."""


@cache
def required(extras: frozenset[str]) -> frozenset[str]:
    """Return the names of the distributions that ``tunesmith[extras]`` brings, itself included."""
    found: set[tuple[str, str]] = set()
    waiting = [("tunesmith", extra) for extra in ("", *extras)]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in found:
            continue
        found.add((name, extra))
        for line in distribution(name).requires or ():
            each = Requirement(line)
            if each.marker is None or each.marker.evaluate({"extra": extra}):
                waiting += [(canonicalize_name(each.name), more) for more in ("", *each.extras)]
    return frozenset(name for name, _ in found)


@cache
def hidden_modules(*extras: str) -> list[str]:
    """Return the top-level modules that are installed, but not by ``tunesmith[extras]``."""
    brought = required(frozenset(extras))
    return sorted(
        module
        for module, owners in packages_distributions().items()
        if not brought & {canonicalize_name(owner) for owner in owners}
        and module not in sys.stdlib_module_names
    )


def with_extras(*extras: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return ``call("runs", argument, …)``, which runs the command with these extras alone."""

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        program = HIDING.format(hidden=hidden_modules(*extras), arguments=arguments)
        return subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False
        )

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one MIDI file in ``midi/`` and an empty model, version 1."""
    (tmp_path / "midi").mkdir()
    (tmp_path / "midi" / "a.mid").touch()
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").touch()
    return tmp_path


def test_every_subcommand_is_looked_at_here() -> None:
    assert sorted(SUBCOMMANDS) == sorted([*NEEDS_MORE_THAN_CLI, *NEEDS_CLI])
    assert {name for name, extra in SUBCOMMANDS.items() if extra == "cli"} == set(NEEDS_CLI)


def test_hiding_leaves_what_the_extras_bring() -> None:
    base = hidden_modules()
    assert not {"numpy", "grpc", "google", "pretty_midi", "mido"} & set(base)
    assert {"click", "rich", "PIL", "tensorflow", "apache_beam", "matplotlib"} <= set(base)
    assert set(base) - set(hidden_modules("cli")) >= {"click", "rich"}
    assert "apache_beam" not in hidden_modules("pipeline"), "extras bring extras"


@pytest.mark.parametrize("arguments", [[], ["--version"], ["runs"]])
def test_the_script_of_a_base_install_names_the_extra(arguments: list[str]) -> None:
    done = with_extras()(*arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        "tunesmith: error: the command line needs click: pip install 'tunesmith[cli]'\n"
    )


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_help_needs_the_command_line_alone(name: str) -> None:
    done = with_extras("cli")(name, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Usage: tunesmith {name}")


@pytest.mark.parametrize("name", NEEDS_MORE_THAN_CLI)
def test_a_missing_extra_is_named_in_one_line(name: str, folder: Path, release_0_1_0: Path) -> None:
    old = release_0_1_0 / "root"
    arguments = [each.format(folder=folder, old=old) for each in NEEDS_MORE_THAN_CLI[name]]
    done = with_extras("cli")(name, *arguments)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert re.fullmatch(
        rf"tunesmith: error: .*: pip install 'tunesmith\[{SUBCOMMANDS[name]}\]'", last
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("extras", "command", "missing"),
    [
        (["cli"], "generate --server localhost:1 --out {folder}/song.png", "pictures"),
        (["cli"], "generate --server localhost:1 --out {folder}/song.musicxml", "scores"),
        (
            ["beam"],
            "preprocess --source scores --midi-dir {folder}/midi --output {folder}/out",
            "scores",
        ),
    ],
)
def test_what_an_option_needs_is_named_in_one_line(
    extras: list[str], command: str, missing: str, folder: Path
) -> None:
    done = with_extras(*extras)(*command.format(folder=folder).split())
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("tunesmith: error: ")
    assert last.endswith(f"pip install 'tunesmith[{missing}]'")


@pytest.mark.parametrize("name", NEEDS_CLI)
def test_what_ran_is_shown_with_the_command_line_alone(name: str, release_0_1_0: Path) -> None:
    arguments = [each.format(old=release_0_1_0 / "root") for each in NEEDS_CLI[name]]
    done = with_extras("cli")(name, *arguments)
    assert done.returncode == 0, done.stderr


def imported(package: str) -> set[str]:
    """Return the top-level modules that a package imports, in functions too."""
    found: set[str] = set()
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {each.name.partition(".")[0] for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize(
    ("package", "extras"),
    [
        ("music", []),
        ("client", ["pictures", "scores"]),
        ("cli", ["cli"]),
        ("components", ["pipeline", "demo"]),
        ("pipeline", ["pipeline"]),
        ("serving", ["serving"]),
    ],
)
def test_a_package_imports_what_its_extras_bring(package: str, extras: list[str]) -> None:
    assert imported(package) & set(hidden_modules(*extras)) == set()
