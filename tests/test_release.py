"""A release: its classifiers, the change log, and the workflow that would publish it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")


@pytest.fixture(scope="module")
def workflow() -> dict[Any, Any]:
    loaded: dict[Any, Any] = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())
    return loaded


def test_classifiers_name_the_pythons_that_are_allowed() -> None:
    named = {
        each.removeprefix("Programming Language :: Python :: ")
        for each in PROJECT["classifiers"]
        if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", each)
    }
    allowed = SpecifierSet(PROJECT["requires-python"])
    assert named == {f"3.{minor}" for minor in range(30) if f"3.{minor}.0" in allowed}


def test_no_classifier_says_the_licence_again() -> None:
    """PyPI refuses one beside the SPDX expression."""
    assert [each for each in PROJECT["classifiers"] if each.startswith("License ::")] == []


def test_the_changelog_lists_the_version_of_the_project() -> None:
    sections = re.findall(r"^## \[(.+)\](?: - (\d{4}-\d\d-\d\d))?$", CHANGELOG, re.MULTILINE)
    assert sections[0] == ("Unreleased", "")
    released = [Version(version) for version, _ in sections[1:]]
    assert released == sorted(released, reverse=True)
    assert all(date for _, date in sections[1:])
    assert Version(PROJECT["version"]) in released


def test_the_changelog_keeps_to_its_kinds_of_change() -> None:
    kinds = re.findall(r"^### (.+)$", CHANGELOG, re.MULTILINE)
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_a_release_is_published_for_a_tag_alone(workflow: dict[Any, Any]) -> None:
    # YAML 1.1 reads the key `on` as true.
    assert workflow[True] == {"push": {"tags": ["v*"]}}


def test_only_publishing_may_ask_for_an_identity(workflow: dict[Any, Any]) -> None:
    assert workflow["permissions"] == {"contents": "read"}
    jobs = workflow["jobs"]
    assert "permissions" not in jobs["build"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["publish"]["needs"] == "build"
    assert jobs["publish"]["environment"]["name"] == "pypi"
    assert "password" not in str(workflow)


def test_what_is_published_is_what_was_built_and_checked(workflow: dict[Any, Any]) -> None:
    build, publish = workflow["jobs"]["build"]["steps"], workflow["jobs"]["publish"]["steps"]
    runs = "\n".join(each.get("run", "") for each in build)
    for command in ("python -m build", "twine check --strict", "CHANGELOG.md", "--version"):
        assert command in runs
    uploaded, downloaded = build[-1], publish[0]
    assert uploaded["uses"].startswith("actions/upload-artifact@")
    assert downloaded["uses"].startswith("actions/download-artifact@")
    assert uploaded["with"]["name"] == downloaded["with"]["name"]
    assert publish[-1]["uses"].startswith("pypa/gh-action-pypi-publish@")
