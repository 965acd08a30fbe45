"""Writes a file completely or not at all."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from tunesmith.client.errors import CannotWrite


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write `content` to a temporary file in the same folder, and rename it to `path`.

    Raises:
        CannotWrite: the folder is missing or not writable, the disk is full, `path` is a folder.
    """
    target = Path(path)
    # A random name, created exclusively, so that two writers of one file do not mix.
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CannotWrite(f"cannot write {target} ({reason}): choose another folder") from error
