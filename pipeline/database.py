"""Connections to the SQLite file of a metadata store, with one-line errors.

The content of the tables is defined in :mod:`tunesmith.pipeline.store`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tunesmith.components.errors import ComponentError
from tunesmith.pipeline.schema import OtherSchema, establish

WAIT_SECONDS = 30.0
"""Maximum time that a transaction waits for another; each takes milliseconds."""


class StoreError(ComponentError):
    """The metadata store cannot be read or written."""


@contextmanager
def connect(path: Path, mode: str = "rw", writes: bool = False) -> Iterator[sqlite3.Connection]:
    """Yield a connection to the metadata store at `path`; the block is one transaction.

    Its rows are :class:`sqlite3.Row`.

    Args:
        path: the SQLite file.
        mode: ``rw`` for an existing file, ``rwc`` to create a missing one.
        writes: whether the block writes. Two transactions that read first and then write would
            wait for each other.

    Raises:
        StoreError: any error of SQLite, in one line.
    """
    try:
        uri = f"{path.absolute().as_uri()}?mode={mode}"
        # Transactions begin and end here, not where the sqlite3 module decides.
        opened = sqlite3.connect(uri, uri=True, timeout=WAIT_SECONDS, isolation_level=None)
        with closing(opened) as connection:
            connection.row_factory = sqlite3.Row
            establish(connection)
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise StoreError(
            f"the metadata store {path} cannot be used: {_what_to_do(error)}"
        ) from error
    except OtherSchema as error:
        raise StoreError(f"the metadata store {path} {error}") from error


def _what_to_do(error: sqlite3.Error) -> str:
    advice = {
        sqlite3.SQLITE_FULL: "free disk space and run again",
        sqlite3.SQLITE_IOERR: "check the disk and its free space, and run again",
        sqlite3.SQLITE_READONLY: "make the file and its folder writable",
        sqlite3.SQLITE_CANTOPEN: "make its folder writable",
        sqlite3.SQLITE_NOTADB: "move the file away to start a new store",
        sqlite3.SQLITE_CORRUPT: "move the file away to start a new store",
    }
    # The low byte of an extended error code is the primary code.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return ": ".join(filter(None, (str(error), advice.get(code))))
