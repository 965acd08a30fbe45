"""What ran in a root, read from its metadata store: runs, and the steps that each of them took."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunesmith.components.processes import ProcessName, is_running
from tunesmith.pipeline.database import StoreError, connect
from tunesmith.pipeline.figures import FigureReader
from tunesmith.pipeline.store import STORE_NAME

PIPELINE_COMMANDS = ("run", "tune")
"""Commands that run the whole pipeline, as the metadata store has them."""


@dataclass(frozen=True)
class Step:
    """What a run did about one component.

    Args:
        execution: the execution's id.
        component: its component's name.
        outcome: of the execution.
        skipped: whether an earlier run executed it.
        started: when this run came to it, in seconds since the epoch.
        seconds: how long it took this run; None where nobody knows.
        artifact: the path of what it left, relative to the root; None if nothing.
        type: the name of the artifact's type; None if nothing.
        digest: of the artifact; None if nothing.
        message: why it failed or refused.
        parameters: of the execution.
        code: digest of the source that ran.
        libraries: version of each library that decides results; empty where nobody recorded it.
        figures: what the artifact measures, by name; see :mod:`tunesmith.pipeline.figures`.
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
    """One call of the pipeline, of a component, or of another command that changes the root.

    Args:
        id: counts the runs of a root.
        command: what was called.
        parameters: what it was called with.
        version: of tunesmith.
        process: its number on `host`.
        host: the host's name.
        started: in seconds since the epoch.
        ended: as `started`; None for one that has not ended, or was killed.
        outcome: running, complete, refused, failed, interrupted or killed.
        message: the one line that it ended with.
        config: the configuration file that repeats it; empty where there is none.
        steps: what it did, in order.
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
        """How long it took; None for one that has not ended, or was killed."""
        return None if self.ended is None else self.ended - self.started

    def figure(self, name: str) -> float | None:
        """Return a figure that one of the steps measured, the last of several; None if none did."""
        found = [step.figures[name] for step in self.steps if name in step.figures]
        return found[-1] if found else None

    def published(self) -> tuple[str, ...]:
        """Return the paths of the versions that it published, relative to the root."""
        return tuple(
            step.artifact
            for step in self.steps
            if step.type == "PushedModel" and step.artifact and not step.skipped
        )


def store_path(root: Path) -> Path:
    """Return the path of the metadata store of `root`.

    Raises:
        StoreError: there is none.
    """
    path = root / STORE_NAME
    if not path.is_file():
        raise StoreError(f"{root} holds no {STORE_NAME}: name the --root of a tunesmith run")
    return path


def read_runs(root: Path, last: int | None = None) -> list[Run]:
    """Return the runs of a root, the oldest first.

    One whose process is gone is told as killed, though nobody has recorded it yet.

    Args:
        root: a pipeline's root.
        last: only so many of the latest; None for all.

    Raises:
        StoreError: there is no metadata store, or it cannot be read.
    """
    return _read(root, "ORDER BY id DESC LIMIT ?", (-1 if last is None else last,))


def read_run(root: Path, run: int) -> Run:
    """Return one run.

    Raises:
        StoreError: there is no such run, or no metadata store, or it cannot be read.
    """
    found = _read(root, "WHERE id = ?", (run,))
    if not found:
        raise StoreError(f"there is no run {run} in {root}: tunesmith runs lists them")
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
    # What had not ended when its run was killed was killed with it.
    outcome = run_outcome if row["outcome"] == "running" else row["outcome"]
    decoded = {
        "outcome": outcome,
        "skipped": bool(row["skipped"]),
        "parameters": json.loads(row["parameters"]),
        "libraries": json.loads(row["libraries"]),
        "figures": figures.of(row["type"], row["artifact"]),
    }
    return Step(**{**dict(row), **decoded})
