"""Processes by name: one that is still running is told from one that is gone.

Process numbers are reused, so a process is named by its number, its host and when it started.
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
    """Return whether `process` is still running; one of another host counts as gone.

    A caller that holds a lock may conclude so: a process of another host would hold it if it ran.
    """
    if process.host != socket.gethostname():
        return False
    return number_in_use(process.number) and _started(process.number) == process.started


def number_in_use(number: int) -> bool:
    """Return whether a process of this host has that number now."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


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
