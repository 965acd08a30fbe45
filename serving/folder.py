"""Version folders below the base path of a model. File system only, no TensorFlow."""

from __future__ import annotations

import os
from pathlib import Path

from tunesmith.serving.errors import ModelFolderMissing, ModelVersionMissing

_LARGEST_VERSION = 2**63 - 1

Fingerprint = tuple[tuple[str, int, int], ...]


def versions_in(base: Path) -> dict[int, Path]:
    """Return the version folders in `base` by version number, the newest (largest) first.

    The name of a version folder consists of decimal digits; other names are ignored, such as those
    of incomplete copies. ``07`` is version 7; if ``7`` exists too, ``7`` is taken, as in TensorFlow
    Serving's file_system_storage_path_source.cc.

    A version folder may be a symbolic link, as in TensorFlow Serving: Kubernetes volumes use links.
    This is safe, because anyone who can create a link here could also write a model, and no part of
    a path comes from a request.

    Raises:
        OSError: `base` cannot be listed.
    """
    found: dict[int, Path] = {}
    for child in sorted(base.iterdir(), key=lambda each: each.name):
        if child.name.isascii() and child.name.isdigit() and child.is_dir():
            number = int(child.name)
            if number <= _LARGEST_VERSION:
                found[number] = child
    return dict(sorted(found.items(), reverse=True))


def require_versions(base: Path) -> dict[int, Path]:
    """Return :func:`versions_in`, and fail if there is no version.

    Raises:
        ModelFolderMissing: `base` is not a readable folder.
        ModelVersionMissing: `base` has no version folder.
    """
    try:
        found = versions_in(base)
    except OSError as error:
        raise ModelFolderMissing(
            f"{base} is not a model folder ({error.strerror}): use the folder that contains "
            "<version>/saved_model.pb"
        ) from error
    if found:
        return found
    if (base / "saved_model.pb").exists():
        raise ModelVersionMissing(
            f"{base} is a version folder: use its parent folder, and rename this folder to a "
            "version number, such as 1"
        )
    raise ModelVersionMissing(
        f"{base} has no model version: export a model as {base / '1' / 'saved_model.pb'}"
    )


def fingerprint(version: Path) -> Fingerprint:
    """Return the relative path, size and modification time (ns) of each file below `version`.

    A version that failed to load is loaded again when its fingerprint changes: a slow copy went on,
    or the version was replaced.
    """
    entries = []
    for folder, _, names in os.walk(version):
        for name in names:
            path = Path(folder, name)
            try:
                status = path.stat()
            except OSError:
                # Deleted since it was listed: the next poll sees the new state.
                continue
            entries.append((str(path.relative_to(version)), status.st_size, status.st_mtime_ns))
    return tuple(sorted(entries))
