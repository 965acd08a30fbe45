"""The record of executions: one SQLite file in the root of a pipeline."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

STORE_NAME = "tunesmith.sqlite"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS executions (
    id INTEGER PRIMARY KEY,
    component TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    inputs TEXT NOT NULL,      -- JSON: name -> {path, digest}
    parameters TEXT NOT NULL,  -- JSON
    code TEXT NOT NULL,        -- digest of the source that ran
    output TEXT NOT NULL,      -- path of the artifact, relative to the root
    started REAL NOT NULL,     -- seconds since the epoch
    ended REAL,
    outcome TEXT NOT NULL      -- running, complete or failed
);
CREATE INDEX IF NOT EXISTS by_fingerprint ON executions (fingerprint, outcome);
"""


class ExecutionStore:
    """Executions of one root.

    Each call is a transaction of its own, so a kill leaves the record consistent: an execution that
    was running stays marked so, and is not taken for a complete one.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / STORE_NAME
        with self._connect() as connection:
            connection.executescript(_SCHEMA)

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=30)) as connection, connection:
            yield connection

    def find_complete(self, fingerprint: str) -> tuple[int, str] | None:
        """Return (id, output) of the latest complete execution of `fingerprint`, or None."""
        with self._connect() as connection:
            row: tuple[int, str] | None = connection.execute(
                "SELECT id, output FROM executions WHERE fingerprint = ? AND outcome = 'complete' "
                "ORDER BY id DESC LIMIT 1",
                (fingerprint,),
            ).fetchone()
        return row

    def begin(
        self,
        component: str,
        fingerprint: str,
        inputs: str,
        parameters: str,
        code: str,
        started: float,
    ) -> int:
        """Record that an execution starts; returns its id."""
        with self._connect() as connection:
            cursor = connection.execute(
                "INSERT INTO executions (component, fingerprint, inputs, parameters, code, output, "
                "started, outcome) VALUES (?, ?, ?, ?, ?, '', ?, 'running')",
                (component, fingerprint, inputs, parameters, code, started),
            )
            assert cursor.lastrowid is not None
            return cursor.lastrowid

    def end(self, execution: int, outcome: str, output: str, ended: float) -> None:
        """Record how an execution ended: ``complete`` or ``failed``."""
        with self._connect() as connection:
            connection.execute(
                "UPDATE executions SET outcome = ?, output = ?, ended = ? WHERE id = ?",
                (outcome, output, ended, execution),
            )
