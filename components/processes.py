"""Identifies processes by PID, host and start time, because PIDs are reused."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ProcessName:
    """The identity of a process.

    Args:
        number: its PID.
        host: name of its host.
        started: its start time in clock ticks since the boot; empty if unknown.
    """

    number: int
    host: str
    started: str

    def __str__(self) -> str:
        return f"process {self.number} on {self.host}"


def this_process() -> ProcessName:
    """Return the identity of the calling process."""
    number = os.getpid()
    return ProcessName(number, socket.gethostname(), _started(number))


def is_running(process: ProcessName) -> bool:
    """Return whether `process` is running; a process of another host counts as ended.

    For callers that hold a lock that the process would hold if it were running.
    """
    if process.host != socket.gethostname():
        return False
    return number_in_use(process.number) and _started(process.number) == process.started


def number_in_use(number: int) -> bool:
    """Return whether a process of this host has this PID."""
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
    # The program name in parentheses may contain spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    # A zombie counts as ended.
    return "" if fields[0] == "Z" else fields[19]
