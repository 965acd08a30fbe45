"""Progress of long work on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tunesmith.cli import log_lines

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from tunesmith.components.progress import Task

PLAIN_SECONDS = 10.0
"""Minimum time between two plain lines about the same task."""


class RemainingTime:
    """Estimates the remaining time of a task from its speed since the first report.

    Work done before the first report, by an interrupted run, says nothing about the speed.

    Args:
        total: of the task; None if it is unknown.
    """

    def __init__(self, total: float | None) -> None:
        self._total = total
        self._first: tuple[float, float] | None = None

    def left(self, done: float, now: float) -> str:
        """Return the remaining time in words; empty while it cannot be estimated.

        Args:
            done: of the total.
            now: seconds of a monotonic clock.
        """
        if self._first is None:
            self._first = (done, now)
        progressed, seconds = done - self._first[0], now - self._first[1]
        if self._total is None or progressed <= 0 or done >= self._total:
            return ""
        remaining = round(seconds * (self._total - done) / progressed)
        hours, rest = divmod(remaining, 3600)
        return f"{hours}:{rest // 60:02}:{rest % 60:02} left"


class ConsoleProgress:
    """Shows tasks on standard error; see :mod:`tunesmith.components.progress`."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty() and not log_lines.is_json()

    def say(self, line: str) -> None:
        """Print a line that stays."""
        log_lines.say(line)

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
        )

        columns = [TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn()]
        if total is not None:
            columns.append(TextColumn("{task.fields[left]}"))
        columns.append(TextColumn("{task.fields[note]}", style="dim"))
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            yield _BarTask(
                bar, bar.add_task(title, total=total, note="", left=""), RemainingTime(total)
            )


class _BarTask:
    def __init__(self, bar: Progress, task: TaskID, remaining: RemainingTime) -> None:
        self._bar = bar
        self._task = task
        self._remaining = remaining

    def update(self, done: float, note: str = "") -> None:
        left = self._remaining.left(done, time.monotonic())
        self._bar.update(self._task, completed=done, note=note, left=left)


class _PlainTask:
    def __init__(self, title: str, total: float | None) -> None:
        self._title = title
        self._total = total
        self._last = time.monotonic()
        self._remaining = RemainingTime(total)
        log_lines.say(f"{title} ...")

    def update(self, done: float, note: str = "") -> None:
        now = time.monotonic()
        left = self._remaining.left(done, now)
        if now - self._last < PLAIN_SECONDS:
            return
        self._last = now
        share = f" {done / self._total:.0%}" if self._total else ""
        parts = [f"{self._title}{share}", note, left]
        log_lines.say(", ".join(part for part in parts if part))
