"""The tables of the record, and the way from an earlier version's tables to these.

An artifact is a node, an execution is a node, and ``inputs`` and ``artifacts.execution`` are the
edges between them, so that where something comes from is one recursive query.
"""

from __future__ import annotations

import json
import sqlite3

VERSION = 2
"""Stands in SQLite's ``user_version``; the first version's tables had 0 there."""

TABLES = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    command TEXT NOT NULL,          -- what was called: run, component Trainer, ...
    parameters TEXT NOT NULL,       -- JSON: what it was told
    version TEXT NOT NULL,          -- of tunesmith
    process INTEGER NOT NULL,       -- its number on the host
    host TEXT NOT NULL,
    process_started TEXT NOT NULL,  -- tells it from a later process of that number
    started REAL NOT NULL,          -- seconds since the epoch, as every time here
    ended REAL,
    outcome TEXT NOT NULL,          -- running, complete, refused, failed, interrupted or killed
    message TEXT NOT NULL DEFAULT ''
);
CREATE TABLE executions (
    id INTEGER PRIMARY KEY,
    run INTEGER REFERENCES runs (id),  -- absent for those that version 1 recorded
    component TEXT NOT NULL,
    fingerprint TEXT NOT NULL,         -- of the component's name, code, parameters and inputs
    parameters TEXT NOT NULL,          -- JSON
    code TEXT NOT NULL,                -- digest of the source that ran
    destination TEXT NOT NULL,         -- where its artifact goes, relative to the root
    started REAL NOT NULL,
    ended REAL,
    outcome TEXT NOT NULL,             -- as of a run
    verdict TEXT,                      -- the outcome to be, once the artifact stands in its place
    message TEXT NOT NULL DEFAULT ''
);
CREATE TABLE artifacts (
    id INTEGER PRIMARY KEY,
    type TEXT NOT NULL,
    path TEXT NOT NULL,     -- relative to the root where it lies below
    digest TEXT NOT NULL,   -- names the content
    execution INTEGER UNIQUE REFERENCES executions (id)  -- that made it, or none: the user's own
);
CREATE TABLE inputs (
    execution INTEGER NOT NULL REFERENCES executions (id),
    name TEXT NOT NULL,
    artifact INTEGER NOT NULL REFERENCES artifacts (id),
    PRIMARY KEY (execution, name)
) WITHOUT ROWID;
CREATE TABLE files (
    artifact INTEGER NOT NULL REFERENCES artifacts (id),  -- one of the user's own
    path BLOB NOT NULL,    -- below the artifact's, as the file system has it
    digest BLOB NOT NULL,  -- BLAKE2b, 64 bytes, as b2sum prints it, or empty: unreadable
    PRIMARY KEY (artifact, path)
) WITHOUT ROWID;
CREATE TABLE skips (
    run INTEGER NOT NULL REFERENCES runs (id),
    execution INTEGER NOT NULL REFERENCES executions (id),  -- an earlier, equal one
    at REAL NOT NULL,
    PRIMARY KEY (run, execution)
) WITHOUT ROWID;
CREATE INDEX executions_by_fingerprint ON executions (fingerprint, outcome);
CREATE INDEX executions_by_run ON executions (run);
CREATE INDEX artifacts_by_path ON artifacts (path, digest);
"""

_TYPES = {
    "ExampleGen": "Sequences",
    "Transform": "Examples",
    "Trainer": "TrainedModel",
    "Pusher": "PushedModel",
}
"""What the components of version 1 left."""


def establish(connection: sqlite3.Connection) -> None:
    """Make the tables where there are none, and bring those of version 1 up to date.

    All of it is one transaction: a kill leaves the old tables or the new ones.

    Args:
        connection: one without transactions of its own (``isolation_level=None``).

    Raises:
        NewerRecord: a later version wrote the record.
    """
    if _version(connection) == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have been first.
        found = _version(connection)
        if found > VERSION:
            raise NewerRecord(found)
        if found < VERSION:
            is_old = connection.execute(
                "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'executions'"
            ).fetchone()
            if is_old:
                connection.execute("ALTER TABLE executions RENAME TO old_executions")
            for statement in TABLES.split(";"):
                connection.execute(statement)
            if is_old:
                _take_over(connection)
                connection.execute("DROP TABLE old_executions")
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


class NewerRecord(Exception):
    """The record has a version that this program does not know; the argument is its number."""


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _take_over(connection: sqlite3.Connection) -> None:
    """Copy what version 1 recorded; an artifact's digest was its execution's fingerprint."""
    connection.execute(
        "INSERT INTO executions (id, component, fingerprint, parameters, code, destination, "
        "started, ended, outcome, verdict) SELECT id, component, fingerprint, parameters, code, "
        "output, started, ended, CASE outcome WHEN 'running' THEN 'killed' ELSE outcome END, "
        "CASE outcome WHEN 'complete' THEN 'complete' END FROM old_executions"
    )
    rows = connection.execute(
        "SELECT id, component, fingerprint, output, outcome, inputs FROM old_executions ORDER BY id"
    )
    for execution, component, fingerprint, output, outcome, inputs in rows.fetchall():
        for name, told in json.loads(inputs).items():
            connection.execute(
                "INSERT INTO inputs VALUES (?, ?, ?)",
                (execution, name, _input_of_old(connection, told["path"], told["digest"])),
            )
        if outcome == "complete":
            connection.execute(
                "INSERT INTO artifacts (type, path, digest, execution) VALUES (?, ?, ?, ?)",
                (_TYPES.get(component, "Artifact"), output, fingerprint, execution),
            )


def _input_of_old(connection: sqlite3.Connection, path: str, digest: str) -> int:
    made = connection.execute(
        "SELECT id FROM artifacts WHERE digest = ? ORDER BY id DESC LIMIT 1", (digest,)
    ).fetchone()
    if made:
        return int(made[0])
    cursor = connection.execute(
        "INSERT INTO artifacts (type, path, digest) VALUES ('MidiFolder', ?, ?)", (path, digest)
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid
