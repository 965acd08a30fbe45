"""One run at a time in a root: a lock that the kernel takes back when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

from tunesmith.components.errors import ComponentError
from tunesmith.components.processes import this_process

LOCK_NAME = "tunesmith.lock"


class RootBusy(ComponentError):
    """Another run works in the root."""


@contextmanager
def lock_root(
    root: Path, wait: bool, say: Callable[[str], None], clock: Callable[[], float]
) -> Iterator[None]:
    """Hold the lock of `root` for the block.

    Args:
        root: a folder that is there.
        wait: whether to wait for another run's end.
        say: told once for whom it waits.
        clock: seconds since the epoch.

    Raises:
        RootBusy: another run has it, and `wait` is not set.
        OSError: the file cannot be made or locked.
    """
    # It is never removed: a process that waits for a removed file would hold nothing.
    with (root / LOCK_NAME).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(file)
            if not wait:
                raise RootBusy(
                    f"{holder} works in {root}: wait for its end, or name another root"
                ) from None
            say(f"waiting for {holder}, which works in {root}")
            fcntl.flock(file, fcntl.LOCK_EX)
        _write(file, {**vars(this_process()), "since": clock()})
        try:
            yield
        finally:
            file.truncate(0)


def _write(file: IO[str], holder: dict[str, object]) -> None:
    file.truncate(0)
    file.write(json.dumps(holder))
    file.flush()


def _holder(file: IO[str]) -> str:
    """Return who has the lock, and since when; it says so right after it took it."""
    file.seek(0, os.SEEK_SET)
    try:
        told = json.loads(file.read())
        since = datetime.fromtimestamp(told["since"]).astimezone()
        return f"process {told['number']} on {told['host']} (since {since:%Y-%m-%d %H:%M:%S})"
    except (ValueError, KeyError, TypeError):
        return "another process"
