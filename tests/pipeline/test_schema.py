"""A record of the first version is taken over as it is."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tunesmith.pipeline.processes import this_process
from tunesmith.pipeline.store import STORE_NAME, ExecutionStore

FIRST_VERSION = """
CREATE TABLE executions (
    id INTEGER PRIMARY KEY, component TEXT NOT NULL, fingerprint TEXT NOT NULL,
    inputs TEXT NOT NULL, parameters TEXT NOT NULL, code TEXT NOT NULL, output TEXT NOT NULL,
    started REAL NOT NULL, ended REAL, outcome TEXT NOT NULL
);
CREATE INDEX by_fingerprint ON executions (fingerprint, outcome);
"""


def old_record(root: Path) -> None:
    """Write what the first version left of three executions, the last of them killed."""
    midi = {"midi": {"path": "/songs", "digest": "m"}}
    sequences = {"sequences": {"path": str(root / "ExampleGen/1"), "digest": "s"}}
    with closing(sqlite3.connect(root / STORE_NAME)) as connection:
        connection.executescript(FIRST_VERSION)
        connection.executemany(
            "INSERT INTO executions VALUES (?, ?, ?, ?, '{}', 'c', ?, 1.0, ?, ?)",
            [
                (1, "ExampleGen", "s", json.dumps(midi), "ExampleGen/1", 2.0, "complete"),
                (2, "Transform", "t", json.dumps(sequences), "", None, "running"),
                (3, "Transform", "t", json.dumps(sequences), "Transform/3", 3.0, "complete"),
            ],
        )
        connection.commit()


def rows(root: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(root / STORE_NAME)) as connection:
        return connection.execute(query).fetchall()


def test_executions_artifacts_and_what_read_them_are_taken_over(tmp_path: Path) -> None:
    old_record(tmp_path)
    (tmp_path / "Transform" / "3").mkdir(parents=True)
    store = ExecutionStore(tmp_path)
    known = store.find("t")
    assert known is not None
    assert (known.id, known.path, known.outcome) == (3, "Transform/3", "complete")
    assert rows(tmp_path, "SELECT id, outcome FROM executions ORDER BY id") == [
        (1, "complete"),
        (2, "killed"),
        (3, "complete"),
    ]
    assert rows(
        tmp_path,
        "SELECT inputs.execution, name, type, path, artifacts.execution FROM inputs "
        "JOIN artifacts ON artifacts.id = artifact",
    ) == [
        (1, "midi", "MidiFolder", "/songs", None),
        (2, "sequences", "Sequences", "ExampleGen/1", 1),
        (3, "sequences", "Sequences", "ExampleGen/1", 1),
    ]


def test_the_first_record_of_a_root_is_made_once(tmp_path: Path) -> None:
    run = ExecutionStore(tmp_path).begin_run("run", "{}", "0", this_process(), 1.0)
    assert ExecutionStore(tmp_path).running() == [(run, this_process())]
