"""Ctrl-C and SIGTERM end a command in the same way: after its cleanup."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
TERMINATED = 143
"""Exit codes of a shell: 128 plus the signal's number."""


class Terminated(KeyboardInterrupt):
    """SIGTERM was received; it is handled like Ctrl-C."""


class Ended(BaseException):
    """A signal ended the command, whose cleanup is done; the argument is the exit code."""


@contextmanager
def tidied_up() -> Iterator[None]:
    """Turn a signal that ended the block into :class:`Ended`, which click does not handle.

    Click would print an empty line for a KeyboardInterrupt, which is not a line of the log format.
    """
    try:
        yield
    except Terminated as error:
        raise Ended(TERMINATED) from error
    except KeyboardInterrupt as error:
        raise Ended(INTERRUPTED) from error


@contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """Raise :class:`Terminated` in the main thread when SIGTERM comes, while the block runs.

    A second SIGTERM ends the process at once. A program that was started with SIGTERM ignored
    continues to ignore it.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        yield
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        del frame
        signal.signal(number, signal.SIG_DFL)
        raise Terminated

    signal.signal(signal.SIGTERM, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def exit_code(error: KeyboardInterrupt) -> int:
    """Return the exit code of a program that `error` ended."""
    return TERMINATED if isinstance(error, Terminated) else INTERRUPTED
