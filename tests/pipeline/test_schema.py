"""The tables of the metadata store, and how those of release 0.1.0 become these."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tunesmith.components.processes import this_process
from tunesmith.pipeline import schema
from tunesmith.pipeline.database import StoreError
from tunesmith.pipeline.store import STORE_NAME, ExecutionStore


@pytest.fixture
def old_root(release_0_1_0: Path) -> Path:
    return release_0_1_0 / "root"


def rows(root: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(root / STORE_NAME)) as connection:
        return connection.execute(query).fetchall()


def columns(root: Path) -> dict[str, set[str]]:
    return {
        table: {row[1] for row in rows(root, f"PRAGMA table_info({table})")}
        for (table,) in rows(root, "SELECT name FROM sqlite_master WHERE type = 'table'")
    }


def test_the_tables_of_release_0_1_0_become_those_of_a_new_store(
    old_root: Path, tmp_path: Path
) -> None:
    (tmp_path / "new").mkdir()
    ExecutionStore(tmp_path / "new")
    assert rows(old_root, "PRAGMA user_version") == [(2,)]
    before = {table: rows(old_root, f"SELECT * FROM {table}") for table in columns(old_root)}
    ExecutionStore(old_root)
    assert rows(old_root, "PRAGMA user_version") == [(schema.VERSION,)]
    assert columns(old_root) == columns(tmp_path / "new")
    # Every row is there as it was; new columns stand behind the others.
    for table, old in before.items():
        after = rows(old_root, f"SELECT * FROM {table}")
        assert [row[: len(old[0])] for row in after] == old if old else after == []
    assert rows(old_root, "SELECT DISTINCT config FROM runs") == [("",)]
    assert rows(old_root, "SELECT DISTINCT modules, libraries FROM executions") == [("{}", "{}")]


def test_a_failure_on_the_way_leaves_the_old_tables(
    old_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = columns(old_root)
    statements = (*schema._FROM_2, "ALTER TABLE elsewhere ADD COLUMN at_all TEXT")
    monkeypatch.setattr(schema, "_FROM_2", statements)
    with pytest.raises(StoreError, match="no such table: elsewhere"):
        ExecutionStore(old_root)
    assert rows(old_root, "PRAGMA user_version") == [(2,)]
    assert columns(old_root) == before
    monkeypatch.undo()
    assert ExecutionStore(old_root).running() == []


def test_several_processes_may_bring_a_store_up_to_date_at_once(old_root: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tunesmith.pipeline.store import ExecutionStore\n"
        "sys.stdin.read()\n"
        "print(ExecutionStore(Path(sys.argv[1])).running())"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, old_root],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    # All of them wait for this.
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.read() == "[]\n"
        process.stdout.close()
        assert process.wait() == 0
    assert rows(old_root, "PRAGMA user_version") == [(schema.VERSION,)]


def test_a_store_from_before_release_0_1_0_names_the_way(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / STORE_NAME)) as connection:
        connection.execute("CREATE TABLE executions (id INTEGER PRIMARY KEY, output TEXT)")
    with pytest.raises(StoreError, match=r"was written before release 0\.1\.0: run `tunesmith"):
        ExecutionStore(tmp_path)
    assert columns(tmp_path) == {"executions": {"id", "output"}}


def test_the_store_of_a_new_root_is_made_once(tmp_path: Path) -> None:
    run = ExecutionStore(tmp_path).begin_run("run", "{}", "0", this_process(), 1.0)
    assert ExecutionStore(tmp_path).running() == [(run, this_process())]
