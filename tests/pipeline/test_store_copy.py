"""A copy of the metadata store: whatever has to be done to open it is done to the copy."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tunesmith.components.progress import SilentProgress
from tunesmith.pipeline.database import StoreError
from tunesmith.pipeline.runner import Runner
from tunesmith.pipeline.store import STORE_NAME
from tunesmith.pipeline.store_copy import copied_store

KILLED_WRITER = """
import os, sqlite3, sys
store = sqlite3.connect(sys.argv[1], isolation_level=None)
store.execute("PRAGMA cache_size = 1")
store.execute("BEGIN IMMEDIATE")
for number in range(3000):
    store.execute("INSERT INTO artifacts (type, path, digest) VALUES ('a', ?, 'd')", ("p" * 500,))
store.execute("UPDATE runs SET outcome = 'failed'")
os._exit(9)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root in which one run came to its end."""
    with Runner(tmp_path / "root", SilentProgress(), command="run"):
        pass
    return tmp_path / "root"


def contents(root: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in root.iterdir()}


def outcomes(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as store:
        return [row[0] for row in store.execute("SELECT outcome FROM runs")]


def test_the_store_of_an_earlier_version_is_brought_up_to_date_in_the_copy(root: Path) -> None:
    with closing(sqlite3.connect(root / STORE_NAME)) as store:
        (version,) = store.execute("PRAGMA user_version").fetchone()
        store.executescript(
            "ALTER TABLE runs DROP COLUMN config;"
            "ALTER TABLE executions DROP COLUMN modules;"
            "ALTER TABLE executions DROP COLUMN libraries;"
            "PRAGMA user_version = 2"
        )
    before = contents(root)
    with copied_store(root) as copy:
        assert copy.newest("Trainer") is None
        with closing(sqlite3.connect(copy.path)) as store:
            assert store.execute("PRAGMA user_version").fetchone() == (version,)
    assert contents(root) == before


def test_what_a_killed_writer_left_is_undone_in_the_copy(root: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED_WRITER, root / STORE_NAME], check=False)
    assert (root / f"{STORE_NAME}-journal").is_file()
    before = contents(root)
    with copied_store(root) as copy:
        assert outcomes(copy.path) == ["complete"]
    assert contents(root) == before


def test_the_copy_is_gone_afterwards_and_what_is_written_to_it_with_it(root: Path) -> None:
    before = contents(root)
    with copied_store(root) as copy:
        copy.close_run(1, "failed", "", 0.0)
        assert outcomes(copy.path) == ["failed"]
    assert not copy.path.exists()
    assert contents(root) == before


def test_what_is_no_store_is_told_by_its_own_path(root: Path) -> None:
    (root / STORE_NAME).write_text("a diary, long enough to be no header" * 100)
    with pytest.raises(StoreError) as refused, copied_store(root):
        pass
    assert f"the metadata store {root / STORE_NAME} cannot be used" in str(refused.value)
    shutil.rmtree(root)
