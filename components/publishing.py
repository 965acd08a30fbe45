"""Nothing half-written is ever visible: write aside, flush to the disk, rename."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sync_tree(directory: Path) -> None:
    """Flush every file and folder below `directory` to the disk, itself last."""
    for folder, _, files in os.walk(directory, topdown=False):
        for name in (*files, "."):
            descriptor = os.open(os.path.join(folder, name), os.O_RDONLY)  # noqa: PTH118
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


@contextmanager
def staged_directory(final: Path, replace: bool = False) -> Iterator[Path]:
    """Yield an empty folder beside `final` that becomes `final` when the block ends well.

    If the block raises, the folder is removed and `final` is untouched. If the process is killed,
    a folder with a name that starts with a dot and ends in ``.partial-<process id>`` may stay
    behind; `final` is then absent, the old one, or the whole new one.

    Args:
        final: where the content goes.
        replace: whether a folder that is there gives way; otherwise it must be absent.

    Raises:
        OSError: the folder cannot be made, or `final` is there and `replace` is not set.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    staging = final.parent / f".{final.name}.partial-{os.getpid()}"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    retired = final.parent / f".{final.name}.retired-{os.getpid()}"
    try:
        yield staging
        sync_tree(staging)
        if replace and final.exists():
            final.rename(retired)
        staging.rename(final)
        sync_folder(final.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        shutil.rmtree(retired, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Flush a folder's own entries, so that a rename in it outlives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
