"""The lineage of an artifact: the executions that led to it, back to the user's files.

Everything is read from the root's metadata store; the artifacts may have been deleted.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunesmith.components.errors import ComponentError
from tunesmith.components.pusher.versions import read_origin
from tunesmith.pipeline.database import connect
from tunesmith.pipeline.history import store_path
from tunesmith.pipeline.store import STORE_NAME, recorded_path


class NotRecorded(ComponentError):
    """The metadata store has no record of an artifact or execution."""


@dataclass(frozen=True)
class RecordedFile:
    """A file of the user.

    Args:
        path: relative to its folder; bytes that are not text are written as ``\\xNN``.
        blake2b: of its content, 128 hex digits, as ``b2sum`` prints it; empty if the file was
            unreadable.
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
        digest: of the content.
        execution: ID of the execution that wrote it, or the original of a copy; None for a
            folder of the user.
        files: of a folder of the user.
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
        run: ID of its run; None if it was recorded before there were runs.
        component: its component's name.
        parameters: all of them.
        code: digest of the source that ran.
        libraries: versions of the libraries that can change results; empty if not recorded.
        version: of tunesmith; None as for `run`.
        started: in seconds since the epoch.
        ended: as `started`; None for an execution that was killed.
        outcome: running, complete, refused, failed, interrupted or killed.
        message: why it failed or refused.
        inputs: by name.
        output: its artifact; None without one.
    """

    id: int
    run: int | None
    component: str
    parameters: dict[str, Any]
    code: str
    libraries: Mapping[str, str]
    version: str | None
    started: float
    ended: float | None
    outcome: str
    message: str
    inputs: dict[str, RecordedArtifact]
    output: RecordedArtifact | None


@dataclass(frozen=True)
class Lineage:
    """The lineage of an artifact or execution.

    Args:
        root: of the pipeline.
        artifact: the artifact; None for an execution without one.
        executions: all that led to it, each after those that it depends on. The last wrote it.
    """

    root: str
    artifact: RecordedArtifact | None
    executions: tuple[RecordedExecution, ...]

    def sources(self) -> tuple[RecordedArtifact, ...]:
        """Return the folders of the user at the beginning of the lineage."""
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
    """Return the root that contains `path`: the nearest folder with a metadata store.

    Raises:
        NotRecorded: there is none.
    """
    absolute = path.resolve()
    for folder in (absolute, *absolute.parents):
        if (folder / STORE_NAME).is_file():
            return folder
    raise NotRecorded(f"{path} is not inside the root folder of a pipeline: give the root")


def read_lineage(what: str, root: Path | None = None) -> Lineage:
    """Return the lineage of an artifact or execution.

    Args:
        what: the ID of an execution; or the path of an artifact, or of a file in it, such as
            ``<root>/models/<name>/<version>`` or, with `root`, ``Trainer/3``.
        root: of the pipeline; None for the root that contains the path or the working directory.

    Raises:
        NotRecorded: there is no such artifact or execution, or no root.
        StoreError: the metadata store cannot be read.
    """
    is_number = what.isdecimal() and not Path(what).exists()
    if root is None:
        root = find_root(Path() if is_number else Path(what))
    root = root.resolve()
    with connect(store_path(root)) as connection:
        read = _Reader(connection, root)
        if is_number:
            execution: int | None = int(what)
            artifact = read.made_by(int(what))
        else:
            artifact = read.at(what)
            execution = artifact.execution
        executions = tuple(read.leading_to(execution))
    if is_number and not executions:
        raise NotRecorded(
            f"there is no execution {what} in {root}: list the executions with tunesmith runs"
        )
    return Lineage(str(root), artifact, executions)


_EXECUTION = """
SELECT executions.id, run, component, executions.parameters, code, libraries, version,
    executions.started, executions.ended, executions.outcome, executions.message
FROM executions LEFT JOIN runs ON runs.id = executions.run
WHERE executions.id = ?
"""


class _Reader:
    """Reads one root's metadata store within one transaction."""

    def __init__(self, connection: sqlite3.Connection, root: Path) -> None:
        self._connection = connection
        self._root = root

    def leading_to(self, execution: int | None) -> list[RecordedExecution]:
        """Return an execution and all that it depends on, each after those that it depends on."""
        found: dict[int, RecordedExecution] = {}
        waiting = [] if execution is None else [execution]
        while waiting:
            number = waiting.pop()
            recorded = None if number in found else self._execution(number)
            if recorded is not None:
                found[number] = recorded
                makers = (artifact.execution for artifact in recorded.inputs.values())
                waiting += [maker for maker in makers if maker is not None]
        # An execution reads artifacts of earlier ones, so the order of the IDs is that of time.
        return [found[number] for number in sorted(found)]

    def _execution(self, number: int) -> RecordedExecution | None:
        row = self._connection.execute(_EXECUTION, (number,)).fetchone()
        if row is None:
            return None
        inputs = self._connection.execute(
            "SELECT name, artifact FROM inputs WHERE execution = ?", (number,)
        ).fetchall()
        read = {name: self._artifacts("id = ?", artifact)[0] for name, artifact in inputs}
        decoded = {name: json.loads(row[name]) for name in ("parameters", "libraries")}
        return RecordedExecution(
            **{**dict(row), **decoded},
            inputs={name: self._followed(artifact) for name, artifact in read.items()},
            output=self.made_by(number),
        )

    def made_by(self, execution: int) -> RecordedArtifact | None:
        found = self._artifacts("execution = ?", execution)
        return found[0] if found else None

    def at(self, what: str) -> RecordedArtifact:
        """Return the latest artifact that contains a path, or the original of a copy there."""
        for path in (Path(what).resolve(), (self._root / what).resolve()):
            # A path inside the root is not looked up outside of it.
            stop = self._root if path.is_relative_to(self._root) else Path(path.anchor)
            for folder in (path, *path.parents):
                if folder == stop:
                    break
                found = self._recorded_at(folder)
                if found is None or _is_copy(found):
                    found = self._copied_to(folder) or found
                if found:
                    return found
        raise NotRecorded(
            f"no artifact is recorded for {what} in {self._root}: "
            "give the folder of an artifact or of a published version, or the ID of an execution"
        )

    def _recorded_at(self, folder: Path) -> RecordedArtifact | None:
        path = recorded_path(self._root, folder)
        found = self._artifacts("path = ? ORDER BY id DESC LIMIT 1", path)
        return found[0] if found else None

    def _followed(self, artifact: RecordedArtifact) -> RecordedArtifact:
        """Return the artifact; a copy is returned with the execution that wrote the original."""
        if not _is_copy(artifact):
            return artifact
        original = self._copied_to(Path(artifact.path)) or self._model(artifact.digest)
        return artifact if original is None else replace(artifact, execution=original.execution)

    def _copied_to(self, version: Path) -> RecordedArtifact | None:
        """Return the original of a version that no execution published, by its origin file."""
        origin = read_origin(version)
        if origin.copy_of is not None:
            source = version.with_name(str(origin.copy_of))
            recorded = self._recorded_at(source)
            if recorded is not None and not _is_copy(recorded):
                return recorded
            if found := self._copied_to(source):
                return found
        # The original version may have been removed; the digest of the model stays.
        return self._model(origin.model)

    def _model(self, digest: str) -> RecordedArtifact | None:
        """Return the first model with a digest; None without one, or if the digest is empty."""
        named = "type = 'TrainedModel' AND digest = ? ORDER BY id LIMIT 1"
        found = self._artifacts(named, digest) if digest else []
        return found[0] if found else None

    def _artifacts(self, condition: str, value: object) -> list[RecordedArtifact]:
        rows = self._connection.execute(
            f"SELECT id, type, path, digest, execution FROM artifacts WHERE {condition}", (value,)
        ).fetchall()
        return [
            RecordedArtifact(
                **{**dict(row), "path": str(self._root / row["path"])}, files=self._files(row["id"])
            )
            for row in rows
        ]

    def _files(self, artifact: int) -> tuple[RecordedFile, ...]:
        rows = self._connection.execute(
            "SELECT path, digest FROM files WHERE artifact = ? ORDER BY path", (artifact,)
        )
        return tuple(RecordedFile(_text(path), digest.hex()) for path, digest in rows)


def _is_copy(artifact: RecordedArtifact) -> bool:
    """Return whether no execution published the version: a copy, or written by another program."""
    return artifact.type == "PushedModel" and artifact.execution is None


def _text(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
