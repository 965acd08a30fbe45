"""Where an artifact comes from: the executions that led to it, back to the user's own files.

Everything is read from the record of the root; the artifacts themselves may be gone.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.components.errors import ComponentError
from tunesmith.pipeline.history import open_record
from tunesmith.pipeline.store import STORE_NAME, connect


class NotRecorded(ComponentError):
    """The record knows nothing of what was asked for."""


@dataclass(frozen=True)
class RecordedFile:
    """A file of the user's own.

    Args:
        path: below its folder; bytes that are no text are written as ``\\xNN``.
        blake2b: of its content, 128 hex digits, as ``b2sum`` prints it; empty where it could not be
            read.
    """

    path: str
    blake2b: str


@dataclass(frozen=True)
class RecordedArtifact:
    """An artifact, as it was recorded.

    Args:
        id: counts the artifacts of a root.
        type: the name of its class.
        path: absolute.
        digest: names the content.
        execution: the id of the execution that made it; None for the user's own.
        files: what it held, for the user's own.
    """

    id: int
    type: str
    path: str
    digest: str
    execution: int | None
    files: tuple[RecordedFile, ...]


@dataclass(frozen=True)
class RecordedExecution:
    """An execution, as it was recorded.

    Args:
        id: counts the executions of a root.
        run: the id of its run; None for one of a record that knew no runs.
        component: its component's name.
        parameters: everything that it was told.
        code: digest of the source that ran.
        version: of tunesmith; None as for `run`.
        started: in seconds since the epoch.
        ended: as `started`; None for one that was killed.
        outcome: running, complete, refused, failed, interrupted or killed.
        message: why it failed or refused.
        inputs: what it read, by name.
        output: what it made; None if nothing.
    """

    id: int
    run: int | None
    component: str
    parameters: dict[str, Any]
    code: str
    version: str | None
    started: float
    ended: float | None
    outcome: str
    message: str
    inputs: dict[str, RecordedArtifact]
    output: RecordedArtifact | None


@dataclass(frozen=True)
class Lineage:
    """Where something comes from.

    Args:
        root: of the pipeline.
        artifact: what was asked for; None for an execution that left nothing.
        executions: all that led to it, each after those that it depends on. The last one made it.
    """

    root: str
    artifact: RecordedArtifact | None
    executions: tuple[RecordedExecution, ...]

    def sources(self) -> tuple[RecordedArtifact, ...]:
        """The user's own artifacts that it all began with."""
        read = {
            artifact.id: artifact
            for execution in self.executions
            for artifact in execution.inputs.values()
            if artifact.execution is None
        }
        if self.artifact is not None and self.artifact.execution is None:
            read[self.artifact.id] = self.artifact
        return tuple(read.values())


def find_root(path: Path) -> Path:
    """Return the root that `path` lies in: the nearest folder above it, or itself, with a record.

    Raises:
        NotRecorded: there is none.
    """
    absolute = path.resolve()
    for folder in (absolute, *absolute.parents):
        if (folder / STORE_NAME).is_file():
            return folder
    raise NotRecorded(
        f"{path} lies in no pipeline's root: name the --root of the run that it comes from"
    )


def read_lineage(what: str, root: Path | None = None) -> Lineage:
    """Return where `what` comes from.

    Args:
        what: an execution's id; or the path of an artifact, or of anything in one, such as
            ``<root>/models/<name>/<version>`` or, with `root`, ``Trainer/3``.
        root: of the pipeline; None to find it above the path, or above the working directory.

    Raises:
        NotRecorded: there is no such artifact or execution, or no root.
        RecordError: the record cannot be read.
    """
    is_number = what.isdecimal() and not Path(what).exists()
    if root is None:
        root = find_root(Path() if is_number else Path(what))
    root = root.resolve()
    with connect(open_record(root)) as connection:
        read = _Reader(connection, root)
        if is_number:
            execution, artifact = int(what), read.made_by(int(what))
        else:
            artifact = read.at(what)
            execution = -1 if artifact.execution is None else artifact.execution
        executions = tuple(read.leading_to(execution))
    if is_number and not executions:
        raise NotRecorded(f"there is no execution {what} in {root}: tunesmith runs lists them")
    return Lineage(str(root), artifact, executions)


_LEADING_TO = """
WITH RECURSIVE leading (execution) AS (
    SELECT ?
    UNION
    SELECT artifacts.execution FROM leading
    JOIN inputs ON inputs.execution = leading.execution
    JOIN artifacts ON artifacts.id = inputs.artifact
    WHERE artifacts.execution NOTNULL
)
SELECT executions.id, run, component, executions.parameters, code, version, executions.started,
    executions.ended, executions.outcome, executions.message
FROM executions LEFT JOIN runs ON runs.id = executions.run
WHERE executions.id IN leading
ORDER BY executions.id
"""
"""An execution reads what earlier ones made, so the order of their ids is that of their work."""


class _Reader:
    """Reads one root's record within one transaction."""

    def __init__(self, connection: sqlite3.Connection, root: Path) -> None:
        self._connection = connection
        self._root = root

    def leading_to(self, execution: int) -> Iterator[RecordedExecution]:
        for row in self._connection.execute(_LEADING_TO, (execution,)).fetchall():
            number, run, component, parameters, code, version, started, ended, *end = row
            outcome, message = end
            inputs = self._connection.execute(
                "SELECT name, artifact FROM inputs WHERE execution = ?", (number,)
            ).fetchall()
            yield RecordedExecution(
                number,
                run,
                component,
                json.loads(parameters),
                code,
                version,
                started,
                ended,
                outcome,
                message,
                {name: self._artifacts("id = ?", artifact)[0] for name, artifact in inputs},
                self.made_by(number),
            )

    def made_by(self, execution: int) -> RecordedArtifact | None:
        found = self._artifacts("execution = ?", execution)
        return found[0] if found else None

    def at(self, what: str) -> RecordedArtifact:
        """Return the latest artifact at a path, or around it, or that it is a copy of."""
        for path in (Path(what).resolve(), (self._root / what).resolve()):
            # What is inside the root is no part of what the root is inside of.
            stop = self._root if path.is_relative_to(self._root) else Path(path.anchor)
            for folder in (path, *path.parents):
                if folder == stop:
                    break
                if found := self._recorded_at(folder) or self._copied_to(folder):
                    return found
        raise NotRecorded(
            f"no artifact is recorded at {what} in {self._root}: "
            "name the folder of an artifact or of a model's version, or an execution's id"
        )

    def _recorded_at(self, folder: Path) -> RecordedArtifact | None:
        inside = folder.is_relative_to(self._root)
        recorded = folder.relative_to(self._root) if inside else folder
        text = str(recorded).encode("utf-8", "backslashreplace").decode()
        found = self._artifacts("path = ? ORDER BY id DESC LIMIT 1", text)
        return found[0] if found else None

    def _copied_to(self, version: Path) -> RecordedArtifact | None:
        """Return what a version that no execution pushed holds: a roll-back, or one copied away."""
        # It imports numpy, which most calls can do without.
        from tunesmith.components.pusher.executor import read_origin

        try:
            origin = read_origin(version)
        except (OSError, ValueError, TypeError):
            return None
        if origin.copy_of is not None:
            source = version.with_name(str(origin.copy_of))
            if found := self._recorded_at(source) or self._copied_to(source):
                return found
        # The version that it is a copy of may have made way; the model's own digest stays.
        named = "type = 'TrainedModel' AND digest = ? ORDER BY id DESC LIMIT 1"
        models = self._artifacts(named, origin.model) if origin.model else []
        return models[0] if models else None

    def _artifacts(self, condition: str, value: object) -> list[RecordedArtifact]:
        rows = self._connection.execute(
            f"SELECT id, type, path, digest, execution FROM artifacts WHERE {condition}", (value,)
        ).fetchall()
        return [
            RecordedArtifact(number, kind, str(self._root / path), digest, execution, files)
            for number, kind, path, digest, execution in rows
            for files in [self._files(number)]
        ]

    def _files(self, artifact: int) -> tuple[RecordedFile, ...]:
        rows = self._connection.execute(
            "SELECT path, digest FROM files WHERE artifact = ? ORDER BY path", (artifact,)
        )
        return tuple(RecordedFile(_text(path), digest.hex()) for path, digest in rows)


def _text(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
