"""How a component tells how far it is; who shows it, and how, is the command line's affair."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Protocol

_COMPONENT: ContextVar[str] = ContextVar("component", default="")


class Task(Protocol):
    """A piece of long work that is under way."""

    def update(self, done: float, note: str = "") -> None:
        """Say that `done` of the total is done, with a few words on the present state."""


class Progress(Protocol):
    """Where long work is reported."""

    def task(self, title: str, total: float | None = None) -> AbstractContextManager[Task]:
        """Open a task; `total` is None where nobody can know it."""

    def say(self, line: str) -> None:
        """Report something finished, in one line."""


@contextmanager
def executing(component: str) -> Iterator[None]:
    """Name the component whose work is reported until the block ends.

    An error leaves it named, since it is reported when the block has ended.
    """
    _COMPONENT.set(component)
    yield
    _COMPONENT.set("")


def current_component() -> str:
    """Return the component whose work is being reported; empty if nobody said."""
    return _COMPONENT.get()


class _SilentTask:
    def update(self, done: float, note: str = "") -> None:
        del done, note


class SilentProgress:
    """Shows nothing: for tests and for programs that call components themselves."""

    @contextmanager
    def task(self, title: str, total: float | None = None) -> Iterator[Task]:
        del title, total
        yield _SilentTask()

    def say(self, line: str) -> None:
        del line
