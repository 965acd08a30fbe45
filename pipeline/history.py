"""What ran in a root, read from its record: runs, and the steps that each of them took."""

from __future__ import annotations

import json
import socket
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.pipeline.processes import ProcessName, is_running
from tunesmith.pipeline.store import STORE_NAME, RecordError, connect


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
        message: why it failed or refused.
    """

    execution: int
    component: str
    outcome: str
    skipped: bool
    started: float
    seconds: float | None
    artifact: str | None
    message: str


@dataclass(frozen=True)
class Run:
    """One call of the pipeline, or of a component.

    Args:
        id: counts the runs of a root.
        command: what was called.
        parameters: what it was told.
        version: of tunesmith.
        process: its number on `host`.
        host: the host's name.
        started: in seconds since the epoch.
        ended: as `started`; None for one that has not ended, or was killed.
        outcome: running, complete, refused, failed, interrupted or killed.
        message: the one line that it ended with.
        steps: what it did, in order.
    """

    id: int
    command: str
    parameters: dict[str, Any]
    version: str
    process: int
    host: str
    started: float
    ended: float | None
    outcome: str
    message: str
    steps: tuple[Step, ...]


def open_record(root: Path) -> Path:
    """Return the path of the record of `root`.

    Raises:
        RecordError: there is none.
    """
    path = root / STORE_NAME
    if not path.is_file():
        raise RecordError(f"{root} holds no {STORE_NAME}: name the --root of a tunesmith run")
    return path


def read_runs(root: Path, last: int | None = None) -> list[Run]:
    """Return the runs of a root, the oldest first.

    One whose process is gone is told as killed, though nobody has recorded it yet.

    Args:
        root: a pipeline's root.
        last: only so many of the latest; None for all.

    Raises:
        RecordError: there is no record, or it cannot be read.
    """
    with connect(open_record(root)) as connection:
        rows = connection.execute(
            "SELECT id, command, parameters, version, process, host, process_started, started, "
            "ended, outcome, message FROM runs ORDER BY id DESC LIMIT ?",
            (-1 if last is None else last,),
        ).fetchall()
        return [_run(connection, *row) for row in reversed(rows)]


def _run(
    connection: sqlite3.Connection,
    number: int,
    command: str,
    parameters: str,
    version: str,
    process: int,
    host: str,
    process_started: str,
    started: float,
    ended: float | None,
    outcome: str,
    message: str,
) -> Run:
    is_here = host == socket.gethostname()
    if outcome == "running" and is_here:
        name = ProcessName(process, host, process_started)
        outcome = "running" if is_running(name) else "killed"
    executed = connection.execute(
        "SELECT executions.id, component, outcome, 0, started, ended - started, path, message "
        "FROM executions LEFT JOIN artifacts ON artifacts.execution = executions.id WHERE run = ?",
        (number,),
    )
    skipped = connection.execute(
        "SELECT executions.id, component, outcome, 1, at, 0.0, path, message FROM skips "
        "JOIN executions ON executions.id = skips.execution "
        "JOIN artifacts ON artifacts.execution = executions.id WHERE skips.run = ?",
        (number,),
    )
    # What had not ended when its run was killed was killed with it.
    ends = {"running": outcome}
    steps = [
        Step(row[0], row[1], ends.get(row[2], row[2]), bool(row[3]), *row[4:])
        for row in (*executed, *skipped)
    ]
    return Run(
        number,
        command,
        json.loads(parameters),
        version,
        process,
        host,
        started,
        ended,
        outcome,
        message,
        tuple(sorted(steps, key=lambda step: (step.started, step.execution))),
    )
