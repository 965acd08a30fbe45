"""A model's base path: which versions lie in it. Plain file system, no TensorFlow."""

from __future__ import annotations

import os
from pathlib import Path

from tunesmith.serving.errors import ModelFolderMissing, ModelVersionMissing

_LARGEST_VERSION = 2**63 - 1

Fingerprint = tuple[tuple[str, int, int], ...]


def versions_in(base: Path) -> dict[int, Path]:
    """Return the version folders of `base` by number, the newest (largest) first.

    A version is a folder whose whole name is decimal digits; every other name is somebody's
    half-written copy or notes and is passed over. ``07`` is version 7; where both are there, ``7``
    is taken, as TensorFlow Serving's file_system_storage_path_source.cc does.

    A version may be a symbolic link to somewhere else, as it may be there: volumes of Kubernetes
    and stores that share files are made of them, and whoever can write a link here can write a
    model. No part of a path comes from a request.

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
    """Return :func:`versions_in`, at least one.

    Raises:
        ModelFolderMissing: `base` is not a folder that can be read.
        ModelVersionMissing: `base` holds no version.
    """
    try:
        found = versions_in(base)
    except OSError as error:
        raise ModelFolderMissing(
            f"{base} is not a model folder ({error.strerror}): name the folder that holds "
            "<version>/saved_model.pb"
        ) from error
    if found:
        return found
    if (base / "saved_model.pb").exists():
        raise ModelVersionMissing(
            f"{base} is itself one version of a model: name its parent folder, and give this one "
            "a number for a name, such as 1"
        )
    raise ModelVersionMissing(
        f"{base} holds no version of a model: export one there as {base / '1' / 'saved_model.pb'}"
    )


def fingerprint(version: Path) -> Fingerprint:
    """Return the relative path, size and modification time (ns) of each file below `version`.

    A version that failed to load is tried again when this changes, that is when a slow copy went on
    or the number was published anew.
    """
    entries = []
    for folder, _, names in os.walk(version):
        for name in names:
            path = Path(folder, name)
            try:
                status = path.stat()
            except OSError:
                # Deleted between the listing and the look: the next poll sees the new state.
                continue
            entries.append((str(path.relative_to(version)), status.st_size, status.st_mtime_ns))
    return tuple(sorted(entries))
