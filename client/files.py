"""Writing a file so that nobody ever sees half of it."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from tunesmith.client.errors import CannotWrite


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write `content` aside, in the same folder, and rename it to `path`.

    Raises:
        CannotWrite: the folder is missing or not writable, the disk is full, `path` is a folder.
    """
    target = Path(path)
    # A name of its own, created exclusively: two writers of one target cannot mix.
    aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        try:
            with aside.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(target)
        except BaseException:
            with suppress(OSError):
                aside.unlink(missing_ok=True)
            raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CannotWrite(f"cannot write {target} ({reason}): choose another folder") from error
