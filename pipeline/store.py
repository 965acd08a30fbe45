"""The metadata store: runs, executions and artifacts of a pipeline's root, in one SQLite file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tunesmith.components.processes import ProcessName
from tunesmith.pipeline.database import connect

STORE_NAME = "tunesmith.sqlite"


@dataclass(frozen=True)
class ArtifactRow:
    """An artifact in the metadata store.

    Args:
        type: the name of its class.
        path: relative to the root if it is below it, absolute otherwise.
        digest: of the content.
        files: (relative path, digest) of each file, for a folder of the user.
    """

    type: str
    path: str
    digest: str
    files: Sequence[tuple[bytes, bytes]] = ()


@dataclass(frozen=True)
class Execution:
    """An execution, as it is recorded before it starts.

    Args:
        run: the run that it belongs to.
        component: its component's name.
        fingerprint: equal fingerprints mean equal executions.
        parameters: as JSON.
        code: digest of its source code.
        inputs: the artifacts that it reads, by name.
        modules: digest of each module of its code, as JSON.
        libraries: versions of the libraries that can change results, as JSON.
    """

    run: int
    component: str
    fingerprint: str
    parameters: str
    code: str
    inputs: dict[str, ArtifactRow]
    modules: str = "{}"
    libraries: str = "{}"


@dataclass(frozen=True)
class CachedExecution:
    """An execution that ended with an artifact: ``complete`` or ``refused``.

    Args:
        id: its id.
        path: of its artifact, relative to the root.
        digest: of its artifact.
        outcome: one of the two.
        message: reason of the refusal.
        fingerprint: equal fingerprints mean equal executions.
        parameters: as JSON.
        modules: as of :class:`Execution`.
        libraries: as of :class:`Execution`.
        inputs: digest of each artifact that it read, by name.
    """

    id: int
    path: str
    digest: str
    outcome: str
    message: str
    fingerprint: str
    parameters: str
    modules: str
    libraries: str
    inputs: Mapping[str, str]


class ExecutionStore:
    """The runs, executions and artifacts of one root.

    Each call is one transaction, so a kill leaves the store consistent. An execution ends in three
    steps: :meth:`record_result`, the rename of its artifact to its final path, :meth:`finish`. If
        it is killed between the second and the third, :meth:`close_run` records it as complete.
    """

    def __init__(self, root: Path, path: Path | None = None) -> None:
        """Open the metadata store of `root`: the file in it, or a copy at `path`."""
        self._root = root
        self.path = root / STORE_NAME if path is None else path
        with connect(self.path, "rwc"):
            pass

    def begin_run(
        self,
        command: str,
        parameters: str,
        version: str,
        process: ProcessName,
        started: float,
        config: str = "",
    ) -> int:
        """Record that a run starts; returns its id."""
        with connect(self.path, writes=True) as connection:
            return _insert(
                connection,
                "INSERT INTO runs (command, parameters, version, process, host, process_started, "
                "started, config, outcome) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'running')",
                command,
                parameters,
                version,
                process.number,
                process.host,
                process.started,
                started,
                config,
            )

    def running(self) -> list[tuple[int, ProcessName]]:
        """Return the runs that have not ended, and the process of each."""
        with connect(self.path) as connection:
            rows = connection.execute(
                "SELECT id, process, host, process_started FROM runs WHERE outcome = 'running'"
            )
            return [(run, ProcessName(*process)) for run, *process in rows]

    def close_run(self, run: int, outcome: str, message: str, ended: float | None) -> list[Path]:
        """Record the outcome of a run, and of each of its executions that has not ended.

        Returns:
            The destinations of executions without an artifact, whose staging folders can be
            removed.
        """
        with connect(self.path, writes=True) as connection:
            rows = connection.execute(
                "SELECT id FROM executions WHERE run = ? AND outcome = 'running'", (run,)
            ).fetchall()
            left = [self._stop(connection, row[0], outcome, message, ended) for row in rows]
            connection.execute(
                "UPDATE runs SET outcome = ?, message = ?, ended = ? WHERE id = ?",
                (outcome, message, ended, run),
            )
        return [path for path in left if path is not None]

    def find(self, fingerprint: str) -> CachedExecution | None:
        """Return the newest execution of `fingerprint` whose artifact exists."""
        return self._newest("fingerprint = ?", fingerprint)

    def newest(self, component: str) -> CachedExecution | None:
        """Return the newest execution of `component` whose artifact exists."""
        return self._newest("component = ?", component)

    def _newest(self, condition: str, value: str) -> CachedExecution | None:
        with connect(self.path) as connection:
            rows = connection.execute(
                "SELECT executions.id, path, digest, outcome, message, fingerprint, parameters, "
                "modules, libraries FROM executions "
                "JOIN artifacts ON artifacts.execution = executions.id "
                f"WHERE {condition} AND outcome IN ('complete', 'refused') "
                "ORDER BY executions.id DESC",
                (value,),
            )
            for row in rows.fetchall():
                if (self._root / row[1]).is_dir():
                    inputs = connection.execute(
                        "SELECT name, digest FROM inputs JOIN artifacts "
                        "ON artifacts.id = inputs.artifact WHERE inputs.execution = ?",
                        (row[0],),
                    )
                    values = (*row, dict(inputs.fetchall()))
                    return CachedExecution(*values)
        return None

    def skip(self, run: int, execution: int, at: float) -> None:
        """Record that `run` uses the artifact of an earlier execution."""
        with connect(self.path, writes=True) as connection:
            connection.execute("INSERT OR IGNORE INTO skips VALUES (?, ?, ?)", (run, execution, at))

    def begin(
        self, execution: Execution, destination: Callable[[int], Path], started: float
    ) -> tuple[int, Path]:
        """Record that an execution starts.

        Args:
            execution: the execution.
            destination: returns the path of its artifact, from its ID.
            started: seconds since the epoch.

        Returns:
            Its ID, and the path of its artifact.
        """
        with connect(self.path, writes=True) as connection:
            number = _insert(
                connection,
                "INSERT INTO executions (run, component, fingerprint, parameters, code, modules, "
                "libraries, destination, started, outcome) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, '', ?, 'running')",
                execution.run,
                execution.component,
                execution.fingerprint,
                execution.parameters,
                execution.code,
                execution.modules,
                execution.libraries,
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

    def record_result(
        self, execution: int, verdict: str, message: str, made: ArtifactRow, at: float
    ) -> None:
        """Record the result of an execution before its artifact is renamed to its final path.

        Called again if another process has published a version there.

        Args:
            execution: its ID.
            verdict: ``complete``, or ``refused`` by a gate.
            message: reason of the refusal.
            made: its artifact.
            at: seconds since the epoch.
        """
        with connect(self.path, writes=True) as connection:
            connection.execute(
                "UPDATE executions SET verdict = ?, message = ?, ended = ?, destination = ? "
                "WHERE id = ?",
                (verdict, message, at, made.path, execution),
            )
            connection.execute(
                "INSERT INTO artifacts (type, path, digest, execution) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (execution) DO UPDATE SET path = excluded.path",
                (made.type, made.path, made.digest, execution),
            )

    def finish(self, execution: int) -> None:
        """Record that the artifact of an execution is at its final path."""
        with connect(self.path, writes=True) as connection:
            connection.execute("UPDATE executions SET outcome = verdict WHERE id = ?", (execution,))

    def stop(self, execution: int, outcome: str, message: str, ended: float) -> None:
        """Record that an execution ended without :meth:`finish`: ``failed`` or ``interrupted``."""
        with connect(self.path, writes=True) as connection:
            self._stop(connection, execution, outcome, message, ended)

    def _stop(
        self,
        connection: sqlite3.Connection,
        execution: int,
        outcome: str,
        message: str,
        ended: float | None,
    ) -> Path | None:
        """End an execution; returns its destination if there is no artifact."""
        verdict, relative, started = connection.execute(
            "SELECT verdict, destination, started FROM executions WHERE id = ?", (execution,)
        ).fetchone()
        destination = self._root / relative
        # Only the rename of a complete artifact creates the folder. But another process may have
        # published a version under the same number.
        taken = connection.execute(
            "SELECT 1 FROM artifacts JOIN executions ON executions.id = artifacts.execution "
            "WHERE path = ? AND executions.id != ? AND ended >= ?",
            (relative, execution, started),
        ).fetchone()
        if verdict is not None and taken is None and destination.is_dir():
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
    """Return the ID of an input; a folder of the user is recorded."""
    known = connection.execute(
        "SELECT id FROM artifacts WHERE path = ? AND (digest = ? OR execution NOTNULL) "
        # Release 0.1.0 recorded digests that are not of the content: the path decides.
        "ORDER BY digest = ? DESC, id DESC LIMIT 1",
        (artifact.path, artifact.digest, artifact.digest),
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


def recorded_path(root: Path, path: Path) -> str:
    """Return a path as it is recorded: relative to `root` if it is below it."""
    root, found = root.resolve(), path.resolve()
    text = str(found.relative_to(root) if found.is_relative_to(root) else found)
    # A file name need not be valid text, but the columns of the store are.
    return text.encode("utf-8", "backslashreplace").decode()
