"""The package ``tunesmith`` itself: what an application imports first, and at what cost."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import tunesmith
from tunesmith.pipeline.code_version import code_version

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = sorted(path.parent.name for path in ROOT.glob("*/py.typed"))
HEAVY = ("numpy", "grpc", "google.protobuf", "pretty_midi", "tunesmith.client")


def printed(program: str) -> str:
    """Return what a program prints in a process of its own, away from the checkout."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd="/"
    )
    return done.stdout.strip()


def imported_by(program: str, *modules: str) -> list[str]:
    """Return which of `modules` a program has imported by its end."""
    return printed(f"{program}\nimport sys; print(*({set(modules)!r} & set(sys.modules)))").split()


def test_importing_tunesmith_imports_nothing_heavy() -> None:
    assert imported_by("import tunesmith", *HEAVY, "pkgutil", "importlib.metadata") == []


def test_importing_music_imports_no_client() -> None:
    assert imported_by("import tunesmith.music", "grpc", "tunesmith.client") == []


@pytest.mark.parametrize("name", sorted({*tunesmith.__all__} - {"__version__"}))
def test_names_are_those_of_the_client(name: str) -> None:
    import tunesmith.client

    assert getattr(tunesmith, name) is getattr(tunesmith.client, name)
    assert name in tunesmith.client.__all__


def test_the_version_is_that_of_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert printed("import tunesmith; print(tunesmith.__version__)") == project["version"]
    assert "version" not in project.get("dynamic", ())


def test_names_are_listed_before_they_are_imported() -> None:
    listed = printed("import tunesmith; print(*dir(tunesmith))").split()
    assert set(tunesmith.__all__) <= set(listed)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'tunesmith' has no attribute 'Composr'"):
        _ = tunesmith.Composr  # type: ignore[attr-defined]


def test_the_client_is_no_part_of_a_components_code() -> None:
    modules = code_version(["tunesmith.components.transform.executor"]).modules
    assert modules
    assert not [name for name in modules if name.startswith("tunesmith.client")]


def test_a_program_in_the_checkout_finds_every_package() -> None:
    names = ", ".join(f"tunesmith.{name}" for name in PACKAGES if name != "tunesmith")
    program = f"import {names}; from tunesmith import Composer; print(Composer.__module__)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == "tunesmith.client.composer\n"


def test_every_package_is_typed() -> None:
    assert PACKAGES == ["cli", "client", "components", "music", "pipeline", "serving", "tunesmith"]
