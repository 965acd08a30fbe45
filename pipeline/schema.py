"""The tables of the metadata store, and their migration from an earlier version.

Artifacts and executions are nodes, and ``inputs`` and ``artifacts.execution`` are the edges of the
lineage graph.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

VERSION = 3
"""The schema version, in SQLite's ``user_version``; the first version had 0 there."""

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
    message TEXT NOT NULL DEFAULT '',
    config TEXT NOT NULL DEFAULT '' -- TOML: the configuration in force, to run it again
);
CREATE TABLE executions (
    id INTEGER PRIMARY KEY,
    run INTEGER REFERENCES runs (id),
    component TEXT NOT NULL,
    fingerprint TEXT NOT NULL,         -- of the component's name, code, parameters and inputs
    parameters TEXT NOT NULL,          -- JSON
    code TEXT NOT NULL,                -- digest of the source that ran
    destination TEXT NOT NULL,         -- where its artifact goes, relative to the root
    started REAL NOT NULL,
    ended REAL,
    outcome TEXT NOT NULL,             -- as of a run
    verdict TEXT,                      -- the outcome to be, once the artifact stands in its place
    message TEXT NOT NULL DEFAULT '',
    modules TEXT NOT NULL DEFAULT '{}',   -- JSON: digest of each module that counts as its code
    libraries TEXT NOT NULL DEFAULT '{}'  -- JSON: version of each library that decides results
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

_FROM_2 = (
    "ALTER TABLE runs ADD COLUMN config TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE executions ADD COLUMN modules TEXT NOT NULL DEFAULT '{}'",
    "ALTER TABLE executions ADD COLUMN libraries TEXT NOT NULL DEFAULT '{}'",
)
"""Columns that version 2, of release 0.1.0, lacks."""


class OtherSchema(Exception):
    """The tables have an unknown schema version; the message says what to do."""


def establish(connection: sqlite3.Connection) -> None:
    """Create missing tables, and migrate those of version 2, in one transaction.

    Args:
        connection: without implicit transactions (``isolation_level=None``).

    Raises:
        OtherSchema: the schema version is later, or before release 0.1.0.
    """
    if _version(connection) == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have migrated them meanwhile.
        for statement in _missing(connection):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _missing(connection: sqlite3.Connection) -> Iterable[str]:
    """Return the statements that migrate the existing tables to this version."""
    found = _version(connection)
    if found > VERSION:
        raise OtherSchema(
            f"has schema version {found}, but this tunesmith reads {VERSION}: upgrade it"
        )
    if found == VERSION:
        return ()
    if found == 2:
        return _FROM_2
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables:
        raise OtherSchema(
            "was written before release 0.1.0: run `tunesmith runs` of that release on it once, "
            "which migrates it"
        )
    return TABLES.split(";")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
