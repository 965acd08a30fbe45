"""The lock of a root, for one run at a time; the kernel releases it when the process ends."""

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
    """Another run holds the lock of the root."""


@contextmanager
def lock_root(
    root: Path, wait: bool, say: Callable[[str], None], clock: Callable[[], float]
) -> Iterator[None]:
    """Hold the lock of `root` for the block.

    Args:
        root: an existing folder.
        wait: whether to wait for another run to end.
        say: called once with a line about the process that holds the lock.
        clock: seconds since the epoch.

    Raises:
        RootBusy: another run holds the lock, and `wait` is not set.
        OSError: the lock file cannot be created or locked.
    """
    # The file is never removed: a process that waits for a removed file would lock nothing.
    with (root / LOCK_NAME).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(file)
            if not wait:
                raise RootBusy(
                    f"{holder} holds the lock of {root}: wait until it ends, or use another root"
                ) from None
            say(f"waiting for {holder}, which holds the lock of {root}")
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
    """Return the process that holds the lock, and since when, from the file that it wrote."""
    file.seek(0, os.SEEK_SET)
    try:
        content = json.loads(file.read())
        since = datetime.fromtimestamp(content["since"]).astimezone()
        return f"process {content['number']} on {content['host']} (since {since:%Y-%m-%d %H:%M:%S})"
    except (ValueError, KeyError, TypeError):
        return "another process"
