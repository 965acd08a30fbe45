"""Publishes complete folders: written to a staging folder, flushed to disk, renamed."""

from __future__ import annotations

import errno
import glob
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tunesmith.components.processes import number_in_use


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
def staging_folder(parent: Path, name: str) -> Iterator[Path]:
    """Yield an empty folder in `parent`, whose name begins with a dot, and remove it afterwards.

    :func:`publish` makes its content visible. If the process is killed, the next call for the same
    name on this machine removes the folder.

    Raises:
        OSError: the folder cannot be made.
    """
    parent.mkdir(parents=True, exist_ok=True)
    _tidy_up(parent / name)
    staging = _aside(parent / name, _PARTIAL, os.getpid())
    staging.mkdir()
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def publish(staging: Path, final: Path) -> None:
    """Flush the folder `staging` to the disk and rename it to `final`, which must be absent.

    Raises:
        FileExistsError: `final` exists; `staging` is unchanged.
        OSError: it cannot be written.
    """
    sync_tree(staging)
    # A rename would silently replace an empty folder.
    if final.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(final))
    try:
        staging.rename(final)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(final)) from error
        raise
    sync_folder(final.parent)


@contextmanager
def staged_directory(final: Path, replace: bool = False) -> Iterator[Path]:
    """Yield an empty folder beside `final` that becomes `final` when the block ends well.

    If the block raises, the folder is removed and `final` is unchanged. If the process is killed,
    `final` is absent, the old folder, or the complete new one; the next call on this machine
    removes the staging folders of killed processes, and restores an old folder that was being
    replaced.

    Args:
        final: the final path.
        replace: whether an existing folder is replaced; otherwise it must be absent.

    Raises:
        FileExistsError: `final` exists and `replace` is not set.
        OSError: the folder cannot be made.
    """
    with staging_folder(final.parent, final.name) as staging:
        yield staging
        retired = _aside(final, _RETIRED, os.getpid())
        try:
            if replace and final.exists():
                sync_tree(staging)
                final.rename(retired)
            publish(staging, final)
        finally:
            shutil.rmtree(retired, ignore_errors=True)


_PARTIAL, _RETIRED = "partial", "retired"


def _aside(final: Path, kind: str, process: int | str) -> Path:
    return final.parent / f".{final.name}.{kind}-{socket.gethostname()}-{process}"


def _tidy_up(final: Path) -> None:
    """Remove the staging folders of `final` that ended processes of this machine left."""
    for kind in (_RETIRED, _PARTIAL):
        for left in final.parent.glob(glob.escape(_aside(final, kind, "").name) + "*"):
            process = left.name.rpartition("-")[2]
            if process.isdigit() and (
                int(process) == os.getpid() or not number_in_use(int(process))
            ):
                if kind == _RETIRED and not final.exists():
                    left.rename(final)
                else:
                    shutil.rmtree(left, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Flush the entries of a folder, so that a rename in it survives a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
