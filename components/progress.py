"""Progress of components; the command line shows it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Protocol

_COMPONENT: ContextVar[str] = ContextVar("component", default="")


class Task(Protocol):
    """A long task in progress."""

    def update(self, done: float, note: str = "") -> None:
        """Report that `done` of the total is done, with a short note on the state."""


class Progress(Protocol):
    """A receiver of progress reports."""

    def task(self, title: str, total: float | None = None) -> AbstractContextManager[Task]:
        """Open a task; `total` is None if it is unknown."""

    def say(self, line: str) -> None:
        """Report a finished step in one line."""


@contextmanager
def executing(component: str) -> Iterator[None]:
    """Set the component whose progress is reported until the block ends.

    After an error it stays set, because the error is reported after the block.
    """
    _COMPONENT.set(component)
    yield
    _COMPONENT.set("")


def current_component() -> str:
    """Return the component whose progress is reported; empty if none is set."""
    return _COMPONENT.get()


class _SilentTask:
    def update(self, done: float, note: str = "") -> None:
        del done, note


class SilentProgress:
    """Ignores all reports: for tests, and for programs that call components."""

    @contextmanager
    def task(self, title: str, total: float | None = None) -> Iterator[Task]:
        del title, total
        yield _SilentTask()

    def say(self, line: str) -> None:
        del line
