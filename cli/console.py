"""What long work looks like: a bar on a terminal, plain lines elsewhere, all on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from tunesmith.components.progress import Task

PLAIN_SECONDS = 10.0
"""Between two plain lines about the same task."""


class ConsoleProgress:
    """Shows tasks as the standard error allows; see :class:`tunesmith.components.progress`."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()

    def say(self, line: str) -> None:
        """Print a line that stays."""
        click.echo(line, err=True)

    @contextmanager
    def task(self, title: str, total: float | None = None) -> Iterator[Task]:
        """Show one task until the block ends."""
        if not self._terminal:
            yield _PlainTask(title, total)
            return
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = [TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn()]
        if total is not None:
            columns += [TextColumn("left"), TimeRemainingColumn()]
        columns.append(TextColumn("{task.fields[note]}", style="dim"))
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            yield _BarTask(bar, bar.add_task(title, total=total, note=""))


class _BarTask:
    def __init__(self, bar: Progress, task: TaskID) -> None:
        self._bar = bar
        self._task = task

    def update(self, done: float, note: str = "") -> None:
        self._bar.update(self._task, completed=done, note=note)


class _PlainTask:
    def __init__(self, title: str, total: float | None) -> None:
        self._title = title
        self._total = total
        self._last = time.monotonic()
        click.echo(f"{title} ...", err=True)

    def update(self, done: float, note: str = "") -> None:
        now = time.monotonic()
        if now - self._last < PLAIN_SECONDS:
            return
        self._last = now
        share = f" {done / self._total:.0%}" if self._total else ""
        click.echo(f"{self._title}{share} {note}".rstrip(), err=True)
