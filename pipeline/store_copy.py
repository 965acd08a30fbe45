"""A copy of a root's metadata store, for who may change nothing in the root."""

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
    """Yield a copy of the metadata store of `root`, which is gone when the block ends.

    Opening a store brings the tables of an earlier version up to date, and makes good what a killed
    writer left: here both happen to the copy.

    Raises:
        StoreError: it is no metadata store, or one of a later version.
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
        # The journal of a killed writer stops a reader that may not write. Nobody else is writing
        # then, so that the files are copied as they are; what is wrong with them, the store tells.
        journal = original.with_name(f"{original.name}-journal")
        for file in (original, journal):
            if file.is_file():
                shutil.copyfile(file, copy.with_name(file.name))
