"""The runs of a root and their steps, read from its metadata store."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunesmith.components.errors import ArgumentError
from tunesmith.components.processes import ProcessName, is_running
from tunesmith.pipeline.database import StoreError, connect
from tunesmith.pipeline.figures import FigureReader
from tunesmith.pipeline.store import STORE_NAME

PIPELINE_COMMANDS = ("run", "tune")
"""Commands that run the whole pipeline, by their names in the metadata store."""


class NotARoot(ArgumentError, StoreError):
    """A folder is not the root of a pipeline: it has no metadata store."""


@dataclass(frozen=True)
class Step:
    """One component in a run: executed or skipped.

    Args:
        execution: the execution's id.
        component: its component's name.
        outcome: of the execution.
        skipped: whether an earlier run executed it.
        started: start of the step, in seconds since the epoch.
        seconds: its duration in this run; None if unknown.
        artifact: path of the artifact, relative to the root; None without an artifact.
        type: name of the artifact's type; None without an artifact.
        digest: of the artifact; None without an artifact.
        message: why it failed or refused.
        parameters: of the execution.
        code: digest of the source that ran.
        libraries: versions of the libraries that can change results; empty if not recorded.
        figures: of the artifact, by name; see :mod:`tunesmith.pipeline.figures`.
    """

    execution: int
    component: str
    outcome: str
    skipped: bool
    started: float
    seconds: float | None
    artifact: str | None
    type: str | None
    digest: str | None
    message: str
    parameters: Mapping[str, Any]
    code: str
    libraries: Mapping[str, str]
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One run: of the pipeline, of a component, or of another command that changes the root.

    Args:
        id: counts the runs of a root.
        command: its name.
        parameters: of the command.
        version: of tunesmith.
        process: its number on `host`.
        host: the host's name.
        started: in seconds since the epoch.
        ended: as `started`; None for a run that has not ended, or was killed.
        outcome: running, complete, refused, failed, interrupted or killed.
        message: its last line.
        config: the configuration file that repeats it; empty without one.
        steps: in order.
    """

    id: int
    command: str
    parameters: Mapping[str, Any]
    version: str
    process: int
    host: str
    started: float
    ended: float | None
    outcome: str
    message: str
    config: str
    steps: tuple[Step, ...]

    @property
    def seconds(self) -> float | None:
        """Duration; None for a run that has not ended, or was killed."""
        return None if self.ended is None else self.ended - self.started

    def figure(self, name: str) -> float | None:
        """Return the figure `name` of the last step that has it; None if no step has."""
        found = [step.figures[name] for step in self.steps if name in step.figures]
        return found[-1] if found else None

    def published(self) -> tuple[str, ...]:
        """Return the paths of the versions that the run published, relative to the root."""
        return tuple(
            step.artifact
            for step in self.steps
            if step.type == "PushedModel" and step.artifact and not step.skipped
        )


def store_path(root: Path) -> Path:
    """Return the path of the metadata store of `root`.

    Raises:
        StoreError: `root` has no metadata store.
    """
    path = root / STORE_NAME
    if not path.is_file():
        raise NotARoot(
            "root", f"{root} is not the root folder of a pipeline: it has no {STORE_NAME}"
        )
    return path


def read_runs(root: Path, last: int | None = None) -> list[Run]:
    """Return the runs of a root, the oldest first.

    A run whose process has ended counts as killed, even if the store still has it as running.

    Args:
        root: of the pipeline.
        last: number of the latest runs to return; None for all.

    Raises:
        StoreError: there is no metadata store, or it cannot be read.
    """
    return _read(root, "ORDER BY id DESC LIMIT ?", (-1 if last is None else last,))


def read_run(root: Path, run: int) -> Run:
    """Return one run.

    Raises:
        StoreError: there is no such run, or no metadata store, or the store cannot be read.
    """
    found = _read(root, "WHERE id = ?", (run,))
    if not found:
        raise StoreError(f"there is no run {run} in {root}: list the runs with tunesmith runs")
    return found[0]


def _read(root: Path, condition: str, values: tuple[int, ...]) -> list[Run]:
    with connect(store_path(root)) as connection:
        rows = connection.execute(f"SELECT * FROM runs {condition}", values).fetchall()
        figures = FigureReader(root)
        return [_run(connection, row, figures) for row in reversed(rows)]


_STEPS = """
SELECT executions.id AS execution, component, outcome, :skipped AS skipped, {started} AS started,
    {seconds} AS seconds, path AS artifact, type, digest, message, executions.parameters, code,
    libraries
FROM executions LEFT JOIN artifacts ON artifacts.execution = executions.id
"""
_EXECUTED = _STEPS.format(started="started", seconds="ended - started") + "WHERE run = :run"
_SKIPPED = (
    _STEPS.format(started="skips.at", seconds="0.0")
    + "JOIN skips ON skips.execution = executions.id WHERE skips.run = :run"
)


def _run(connection: sqlite3.Connection, row: sqlite3.Row, figures: FigureReader) -> Run:
    values = dict(row)
    process = ProcessName(row["process"], row["host"], values.pop("process_started"))
    if row["outcome"] == "running" and row["host"] == socket.gethostname():
        values["outcome"] = "running" if is_running(process) else "killed"
    steps = [
        _step(each, values["outcome"], figures)
        for query, skipped in ((_EXECUTED, 0), (_SKIPPED, 1))
        for each in connection.execute(query, {"run": row["id"], "skipped": skipped})
    ]
    values["parameters"] = json.loads(row["parameters"])
    in_order = sorted(steps, key=lambda step: (step.started, step.execution))
    return Run(**values, steps=tuple(in_order))


def _step(row: sqlite3.Row, run_outcome: str, figures: FigureReader) -> Step:
    # An execution that had not ended when its run was killed was killed, too.
    outcome = run_outcome if row["outcome"] == "running" else row["outcome"]
    decoded = {
        "outcome": outcome,
        "skipped": bool(row["skipped"]),
        "parameters": json.loads(row["parameters"]),
        "libraries": json.loads(row["libraries"]),
        "figures": figures.of(row["type"], row["artifact"]),
    }
    return Step(**{**dict(row), **decoded})
