"""Which package imports which: the arrows point one way, and a component knows no other."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent

PACKAGES: dict[str, set[str]] = {
    "music": set(),
    "client": {"music"},
    "components": {"music"},
    "pipeline": {"components", "music"},
    "serving": {"music"},
    "studio": {"client", "music"},
    "cli": {"music", "client", "components", "pipeline", "serving", "studio"},
}
"""Each package that is installed as ``tunesmith.<name>``, and those that it may import."""

MAY_IMPORT_CLIENT = "components/infra_validator/"
"""InfraValidator is a client of the server that it starts."""

TWO_COMPONENTS = "components/preprocess.py"
"""ExampleGen and Transform in one job; no component imports it."""

HEAVY = ("numpy", "tensorflow", "keras", "apache_beam", "grpc", "matplotlib", "pretty_midi")
"""Libraries that declarations must not import: declarations are imported for every ``--help``."""


class Import(NamedTuple):
    """``file`` imports ``module``, both below the top-level package."""

    file: str
    module: tuple[str, ...]


def imports_of(package: str) -> Iterator[Import]:
    """Yield what each module of a package imports from tunesmith, also within functions."""
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [each.name for each in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path} imports relatively"
                names = [f"{node.module}.{each.name}" for each in node.names]
            for name in names:
                top, _, below = name.partition(".")
                if top == "tunesmith" and below:
                    yield Import(path.relative_to(ROOT).as_posix(), tuple(below.split(".")))


def folders(name: str) -> set[str]:
    """Return the folders of ``components/`` that hold a module `name`."""
    return {path.parent.name for path in (ROOT / "components").glob(f"*/{name}.py")}


COMPONENTS = folders("component")
SHARED = {path.parent.name for path in (ROOT / "components").glob("*/__init__.py")} - COMPONENTS


def test_every_package_is_listed() -> None:
    there = {path.parent.name for path in ROOT.glob("*/py.typed")}
    # The folder of that name is the package above all others.
    assert there - {"tunesmith"} <= PACKAGES.keys()
    assert len(COMPONENTS) == 8
    assert {"encodings", "networks", "ngram", "records"} <= SHARED


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_as_the_design_says(package: str) -> None:
    known = PACKAGES[package] | {package}
    wrong = [
        each
        for each in imports_of(package)
        if each.module[0] in PACKAGES
        and each.module[0] not in known
        and not (each.module[0] == "client" and each.file.startswith(MAY_IMPORT_CLIENT))
    ]
    assert wrong == []


def test_a_component_imports_no_other_component() -> None:
    wrong = []
    for each in imports_of("components"):
        owner = each.file.split("/")[1]
        imported = each.module[1] if each.module[0] == "components" else ""
        if imported in COMPONENTS - {owner} and each.file != TWO_COMPONENTS:
            wrong.append(each)
        if imported == "preprocess":
            wrong.append(each)
    assert wrong == []


def test_networks_and_encodings_are_named_by_nobody() -> None:
    plug_ins = {
        family: {path.parent.name for path in (ROOT / "components" / family).glob("*/*.py")}
        for family in ("networks", "encodings")
    }
    assert plug_ins["networks"] >= {"paper", "causal"}
    assert plug_ins["encodings"] == {"frames", "struck"}
    wrong = [
        each
        for package in PACKAGES
        for each in imports_of(package)
        for family, names in plug_ins.items()
        if each.module[:2] == ("components", family)
        and each.module[2:3]
        and each.module[2] in names
        and not each.file.startswith(f"components/{family}/")
    ]
    assert wrong == []


def declarations() -> list[str]:
    named = [f"tunesmith.components.{folder}.component" for folder in sorted(COMPONENTS)]
    return ["tunesmith.components.component", "tunesmith.components.artifacts", *named]


def test_declarations_import_neither_numpy_nor_tensorflow_nor_beam() -> None:
    """All of them in one process, with the choices of their parameters and their defaults."""
    lines = [
        "import importlib, sys",
        f"modules = [importlib.import_module(name) for name in {declarations()!r}]",
        "from tunesmith.components.component import Component, parameter_fields",
        "found = [each for module in modules for each in vars(module).values()]",
        "components = [each for each in found if isinstance(each, Component)]",
        f"assert len(components) == {len(COMPONENTS)}",
        "for component in components:",
        "    for field in parameter_fields(component.parameters):",
        "        field.declared.known()",
        f"print(*sorted(set({HEAVY!r}) & set(sys.modules)))",
    ]
    found = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.split() == []
