"""NOTICE and the licences of what the wheel holds."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent

OTHERS = re.compile(
    r"copyright|spdx-|@licen[sc]e|all rights reserved|cdn\.|unpkg\.com", re.IGNORECASE
)
"""Marks of the work of others, or of an address that it is loaded from."""


@pytest.fixture(scope="module")
def notices() -> ModuleType:
    spec = importlib.util.spec_from_file_location("notices", ROOT / "tools" / "notices.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks up its module by name.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("sys").modules, "notices", module)
        spec.loader.exec_module(module)
    return module


def test_notice_is_what_the_bundled_files_ask_for(notices: ModuleType) -> None:
    assert (ROOT / "NOTICE").read_text("utf-8") == notices.notice(), "run `make notices`"


def test_a_file_that_is_nobodys_is_refused(
    notices: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "bundled", lambda: iter(["client/templates/chart.min.js"]))
    with pytest.raises(notices.NotListed, match=r"chart\.min\.js"):
        notices.notice()


def test_messages_of_tensorflow_are_named_as_adapted(notices: ModuleType) -> None:
    protos = [path for path in notices.bundled() if path.endswith(".proto")]
    assert protos
    for path in protos:
        assert notices.is_adapted(path), path


def test_own_files_hold_no_work_of_others(notices: ModuleType) -> None:
    found = {
        path: match[0]
        for path in notices.bundled()
        if not notices.is_adapted(path)
        if (match := OTHERS.search((ROOT / path).read_text("utf-8")))
    }
    assert found == {}


def test_the_wheel_carries_licence_and_notice() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["license-files"] == ["LICENSE", "NOTICE"]
    assert project["license"] == "Apache-2.0"
