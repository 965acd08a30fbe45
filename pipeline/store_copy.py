"""A copy of a metadata store, for readers that must not change the root."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tunesmith.pipeline.database import StoreError
from tunesmith.pipeline.store import STORE_NAME, ExecutionStore


@contextmanager
def copied_store(root: Path) -> Iterator[ExecutionStore]:
    """Yield a copy of the metadata store of `root`, which is removed when the block ends.

    Opening a store migrates the tables of an earlier version and rolls back the transaction of a
    killed writer: here both happen in the copy.

    Raises:
        StoreError: the file is not a metadata store, or has a later schema version.
    """
    with tempfile.TemporaryDirectory(prefix="tunesmith-") as folder:
        copy = Path(folder) / STORE_NAME
        _copy(root / STORE_NAME, copy)
        try:
            store = ExecutionStore(root, copy)
        except StoreError as error:
            raise StoreError(str(error).replace(str(copy), str(root / STORE_NAME))) from error
        yield store


def _copy(original: Path, copy: Path) -> None:
    uri = f"{original.absolute().as_uri()}?mode=ro"
    try:
        with (
            closing(sqlite3.connect(uri, uri=True)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
    except sqlite3.Error:
        # The journal of a killed writer stops a read-only connection. There is no other writer
        # then, so the files are copied; opening the copy raises if they are damaged.
        journal = original.with_name(f"{original.name}-journal")
        for file in (original, journal):
            if file.is_file():
                shutil.copyfile(file, copy.with_name(file.name))
