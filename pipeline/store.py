"""The record of runs, executions and artifacts: one SQLite file in the root of a pipeline."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tunesmith.components.errors import ComponentError
from tunesmith.pipeline.processes import ProcessName
from tunesmith.pipeline.schema import NewerRecord, establish

STORE_NAME = "tunesmith.sqlite"


class RecordError(ComponentError):
    """The record cannot be read or written."""


@dataclass(frozen=True)
class ArtifactRow:
    """An artifact as the record knows it.

    Args:
        type: the name of its class.
        path: relative to the root where it lies below, absolute otherwise.
        digest: names the content.
        files: (path below it, digest) of what it holds, for the user's own files.
    """

    type: str
    path: str
    digest: str
    files: Sequence[tuple[bytes, bytes]] = ()


@dataclass(frozen=True)
class Execution:
    """What is known of an execution before it starts.

    Args:
        run: the run that it belongs to.
        component: its component's name.
        fingerprint: equal ones mean equal work.
        parameters: as JSON.
        code: digest of the source that runs.
        inputs: the artifacts that it reads, by name.
    """

    run: int
    component: str
    fingerprint: str
    parameters: str
    code: str
    inputs: dict[str, ArtifactRow]


@dataclass(frozen=True)
class Known:
    """An execution that ended with an artifact: ``complete`` or ``refused``."""

    id: int
    path: str
    outcome: str
    message: str


@contextmanager
def connect(path: Path, mode: str = "rw") -> Iterator[sqlite3.Connection]:
    """Yield a connection to the record at `path`; what the block writes is one transaction.

    Args:
        path: the SQLite file.
        mode: ``rw`` for one that is there, ``rwc`` for one that may have to be made.

    Raises:
        RecordError: anything that SQLite finds wrong, in one line.
    """
    try:
        uri = f"{path.absolute().as_uri()}?mode={mode}"
        # Transactions begin and end here, not where the library thinks best.
        opened = sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None)
        with closing(opened) as connection:
            establish(connection)
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("BEGIN")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise RecordError(f"the record {path} cannot be used: {_what_to_do(error)}") from error
    except NewerRecord as error:
        raise RecordError(
            f"the record {path} was written by a later version (its form is {error}): use that one"
        ) from error


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


class ExecutionStore:
    """What happened in one root.

    Each call is a transaction of its own, so a kill leaves the record consistent. An execution ends
    in three steps: :meth:`settle` says what it came to, its artifact is renamed into its place,
    :meth:`end` takes note. Killed between the second and the third, it is complete nevertheless,
    which :meth:`close_run` finds out.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.path = root / STORE_NAME
        with connect(self.path, "rwc"):
            pass

    def begin_run(
        self, command: str, parameters: str, version: str, process: ProcessName, started: float
    ) -> int:
        """Record that a run starts; returns its id."""
        with connect(self.path) as connection:
            return _insert(
                connection,
                "INSERT INTO runs (command, parameters, version, process, host, process_started, "
                "started, outcome) VALUES (?, ?, ?, ?, ?, ?, ?, 'running')",
                command,
                parameters,
                version,
                process.number,
                process.host,
                process.started,
                started,
            )

    def running(self) -> list[tuple[int, ProcessName]]:
        """Return the runs that have not ended, and the process of each."""
        with connect(self.path) as connection:
            rows = connection.execute(
                "SELECT id, process, host, process_started FROM runs WHERE outcome = 'running'"
            )
            return [(run, ProcessName(*process)) for run, *process in rows]

    def close_run(self, run: int, outcome: str, message: str, ended: float | None) -> list[Path]:
        """Record how a run ended, and with it every execution of it that has not ended.

        Returns:
            The destinations of executions that came to nothing; what lies aside there can go.
        """
        with connect(self.path) as connection:
            rows = connection.execute(
                "SELECT id FROM executions WHERE run = ? AND outcome = 'running'", (run,)
            ).fetchall()
            left = [self._stop(connection, row[0], outcome, message, ended) for row in rows]
            connection.execute(
                "UPDATE runs SET outcome = ?, message = ?, ended = ? WHERE id = ?",
                (outcome, message, ended, run),
            )
        return [path for path in left if path is not None]

    def find(self, fingerprint: str) -> Known | None:
        """Return the latest execution of `fingerprint` whose artifact is still there."""
        with connect(self.path) as connection:
            rows = connection.execute(
                "SELECT executions.id, path, outcome, message FROM executions "
                "JOIN artifacts ON artifacts.execution = executions.id "
                "WHERE fingerprint = ? AND outcome IN ('complete', 'refused') "
                "ORDER BY executions.id DESC",
                (fingerprint,),
            ).fetchall()
        found = (Known(*row) for row in rows)
        return next((known for known in found if (self._root / known.path).is_dir()), None)

    def skip(self, run: int, execution: int, at: float) -> None:
        """Record that `run` takes what an earlier execution made."""
        with connect(self.path) as connection:
            connection.execute("INSERT OR IGNORE INTO skips VALUES (?, ?, ?)", (run, execution, at))

    def begin(
        self, execution: Execution, destination: Callable[[int], Path], started: float
    ) -> tuple[int, Path]:
        """Record that an execution starts.

        Args:
            execution: what it is.
            destination: where its artifact goes, from the execution's id.
            started: seconds since the epoch.

        Returns:
            Its id, and where its artifact goes.
        """
        with connect(self.path) as connection:
            number = _insert(
                connection,
                "INSERT INTO executions (run, component, fingerprint, parameters, code, "
                "destination, started, outcome) VALUES (?, ?, ?, ?, ?, '', ?, 'running')",
                execution.run,
                execution.component,
                execution.fingerprint,
                execution.parameters,
                execution.code,
                started,
            )
            path = destination(number)
            connection.execute(
                "UPDATE executions SET destination = ? WHERE id = ?",
                (os.path.relpath(path, self._root), number),
            )
            for name, artifact in execution.inputs.items():
                connection.execute(
                    "INSERT INTO inputs VALUES (?, ?, ?)",
                    (number, name, _input(connection, artifact)),
                )
        return number, path

    def settle(
        self, execution: int, verdict: str, message: str, made: ArtifactRow, at: float
    ) -> None:
        """Record what an execution came to, before its artifact is renamed into its place.

        Args:
            execution: its id.
            verdict: ``complete``, or ``refused`` by a gate.
            message: why it was refused.
            made: its artifact.
            at: seconds since the epoch.
        """
        with connect(self.path) as connection:
            connection.execute(
                "UPDATE executions SET verdict = ?, message = ?, ended = ? WHERE id = ?",
                (verdict, message, at, execution),
            )
            _insert(
                connection,
                "INSERT INTO artifacts (type, path, digest, execution) VALUES (?, ?, ?, ?)",
                made.type,
                made.path,
                made.digest,
                execution,
            )

    def end(self, execution: int) -> None:
        """Record that the artifact of a settled execution stands in its place."""
        with connect(self.path) as connection:
            connection.execute("UPDATE executions SET outcome = verdict WHERE id = ?", (execution,))

    def stop(self, execution: int, outcome: str, message: str, ended: float) -> None:
        """Record that an execution ended without :meth:`end`: ``failed`` or ``interrupted``."""
        with connect(self.path) as connection:
            self._stop(connection, execution, outcome, message, ended)

    def _stop(
        self,
        connection: sqlite3.Connection,
        execution: int,
        outcome: str,
        message: str,
        ended: float | None,
    ) -> Path | None:
        """End an execution; returns its destination if there is nothing."""
        verdict, relative = connection.execute(
            "SELECT verdict, destination FROM executions WHERE id = ?", (execution,)
        ).fetchone()
        destination = self._root / relative
        # Nothing but the rename brings it there, and what is renamed is whole.
        if verdict is not None and destination.is_dir():
            connection.execute("UPDATE executions SET outcome = verdict WHERE id = ?", (execution,))
            return None
        connection.execute("DELETE FROM artifacts WHERE execution = ?", (execution,))
        connection.execute(
            "UPDATE executions SET outcome = ?, verdict = NULL, message = ?, ended = ? "
            "WHERE id = ?",
            (outcome, message, ended, execution),
        )
        return destination


def _insert(connection: sqlite3.Connection, statement: str, *values: object) -> int:
    number = connection.execute(statement, values).lastrowid
    assert number is not None
    return number


def _input(connection: sqlite3.Connection, artifact: ArtifactRow) -> int:
    """Return the id of an artifact that is read; one that no execution made is recorded."""
    known = connection.execute(
        "SELECT id FROM artifacts WHERE path = ? AND digest = ? ORDER BY id DESC LIMIT 1",
        (artifact.path, artifact.digest),
    ).fetchone()
    if known:
        return int(known[0])
    number = _insert(
        connection,
        "INSERT INTO artifacts (type, path, digest) VALUES (?, ?, ?)",
        artifact.type,
        artifact.path,
        artifact.digest,
    )
    connection.executemany(
        "INSERT INTO files VALUES (?, ?, ?)",
        ((number, path, digest) for path, digest in artifact.files),
    )
    return number
