"""Connections to the SQLite file of a metadata store; what SQLite finds wrong is told in one line.

What is in the tables is the matter of :mod:`tunesmith.pipeline.store`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tunesmith.components.errors import ComponentError
from tunesmith.pipeline.schema import OtherSchema, establish

WAIT_SECONDS = 30.0
"""How long a transaction waits for another one's end; each takes milliseconds."""


class StoreError(ComponentError):
    """The metadata store cannot be read or written."""


@contextmanager
def connect(path: Path, mode: str = "rw", writes: bool = False) -> Iterator[sqlite3.Connection]:
    """Yield a connection to the metadata store at `path`; the block is one transaction.

    Its rows are :class:`sqlite3.Row`.

    Args:
        path: the SQLite file.
        mode: ``rw`` for one that is there, ``rwc`` for one that may have to be made.
        writes: whether the block writes. Two transactions that begin by reading and then write
            would each wait for the other one's end.

    Raises:
        StoreError: anything that SQLite finds wrong, in one line.
    """
    try:
        uri = f"{path.absolute().as_uri()}?mode={mode}"
        # Transactions begin and end here, not where the library thinks best.
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
        sqlite3.SQLITE_FULL: "free some space and run again",
        sqlite3.SQLITE_IOERR: "see to the disk, its space included, and run again",
        sqlite3.SQLITE_READONLY: "make it and its folder writable",
        sqlite3.SQLITE_CANTOPEN: "make its folder writable",
        sqlite3.SQLITE_NOTADB: "move it away to begin a new one",
        sqlite3.SQLITE_CORRUPT: "move it away to begin a new one",
    }
    # The low byte of an extended code is the plain one.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return ": ".join(filter(None, (str(error), advice.get(code))))
