"""Which process did something, so that one that is still there is not taken for one that is gone.

A number alone does not tell: the system gives it away again.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ProcessName:
    """A process among all that ever were.

    Args:
        number: its number on the host.
        host: the host's name.
        started: when it started, as the host counts; empty where the host does not tell.
    """

    number: int
    host: str
    started: str

    def __str__(self) -> str:
        return f"process {self.number} on {self.host}"


def this_process() -> ProcessName:
    """Return the name of the calling process."""
    number = os.getpid()
    return ProcessName(number, socket.gethostname(), _started(number))


def is_running(process: ProcessName) -> bool:
    """Return whether `process` is still there; one of another host counts as gone.

    Whoever asks holds the root's lock, which a process of another host would hold if it ran.
    """
    if process.host != socket.gethostname():
        return False
    try:
        os.kill(process.number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _started(process.number) == process.started


def _started(number: int) -> str:
    """Return the clock ticks from the boot to the start of a process (proc(5), field 22)."""
    try:
        stat = Path(f"/proc/{number}/stat").read_text("utf-8", "replace")
    except OSError:
        return ""
    # The name in parentheses before it may hold anything.
    fields = stat.rpartition(")")[2].split()
    # A process that is dead and not yet waited for is gone.
    return "" if fields[0] == "Z" else fields[19]
