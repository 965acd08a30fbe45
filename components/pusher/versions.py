"""Versions of a model in its base path: published under the next number, rolled back, reclaimed.

Servers serve the highest version number that loads. So numbers only grow, and a rollback publishes
a copy of an older version under a new number. Old versions are removed from the lowest up: a folder
is renamed, so that no server takes it for a version, before its files are deleted.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from tunesmith.components.artifacts import ORIGIN_FILE
from tunesmith.components.errors import ComponentError
from tunesmith.components.publishing import publish, staging_folder, sync_folder
from tunesmith.components.pusher.component import DEFAULT_KEEP, check_keep

STAGING_NAME = "version"
"""Name of the staging folders of versions, which have no number yet."""

_REMOVED = "removed"


class NothingToRollBackTo(ComponentError):
    """There is no older version, or not the requested one."""


@dataclass(frozen=True)
class Origin:
    """The origin of a version.

    Args:
        model: digest of the TrainedModel; empty if unknown.
        copy_of: the version that it is a copy of, after a rollback; None for a pushed model.
        instead_of: the version that was rolled back; None for a pushed model.
        published: time of publishing in UTC (ISO 8601); empty if unknown.
    """

    model: str = ""
    copy_of: int | None = None
    instead_of: int | None = None
    published: str = ""


def numbered_versions(model_dir: Path) -> dict[int, Path]:
    """Return the folder of each version in `model_dir`; empty if it is not a folder.

    As for TensorFlow Serving, only folders with a number as name count.
    """
    if not model_dir.is_dir():
        return {}
    # If both 07 and 7 exist, servers take the latter, which comes last.
    return {
        int(path.name): path
        for path in sorted(model_dir.iterdir())
        if path.name.isascii() and path.name.isdecimal() and path.is_dir()
    }


def versions_of(model_dir: Path) -> list[int]:
    """Return the versions in `model_dir`, ascending."""
    return sorted(numbered_versions(model_dir))


def next_version(model_dir: Path) -> int:
    """Return the next version number of `model_dir`: one above the highest, or 1."""
    return max(versions_of(model_dir), default=0) + 1


def publish_as_next(
    staging: Path, model_dir: Path, announce: Callable[[Path], None] = lambda _: None
) -> Path:
    """Publish the complete folder `staging` as the next version of `model_dir`.

    If another process publishes the same number first, the next number is used.

    Args:
        staging: a folder below `model_dir`, or on the same file system.
        model_dir: the model's base path.
        announce: called with the version's folder before each attempt.

    Returns:
        The version's folder.

    Raises:
        OSError: it cannot be written.
    """
    while True:
        final = model_dir / str(next_version(model_dir))
        announce(final)
        try:
            publish(staging, final)
        except FileExistsError:
            continue
        return final


def read_origin(version: Path) -> Origin:
    """Return the origin of a published version; an empty one without an origin file.

    Raises:
        OSError: the file exists and cannot be read.
    """
    try:
        content = json.loads((version / ORIGIN_FILE).read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return Origin()
    if not isinstance(content, dict):
        return Origin()
    # A later release may write more fields.
    known = {field.name for field in fields(Origin)}
    return Origin(**{name: value for name, value in content.items() if name in known})


def reclaim(model_dir: Path, keep: int = DEFAULT_KEEP) -> list[int]:
    """Remove all but the `keep` newest versions, and the remains of a killed call.

    Args:
        model_dir: the model's base path.
        keep: number of versions to keep, at least 2; 0 for all.

    Returns:
        The removed versions, ascending.

    Raises:
        ParameterError: `keep` is too small.
        OSError: a version cannot be removed; it is complete, or no longer a version.
    """
    check_keep(keep)
    for left in model_dir.glob(f".*.{_REMOVED}-*"):
        shutil.rmtree(left, ignore_errors=True)
    numbered = numbered_versions(model_dir)
    going = sorted(numbered)[:-keep] if keep else []
    removed = []
    for version in going:
        aside = model_dir / f".{version}.{_REMOVED}-{socket.gethostname()}-{os.getpid()}"
        try:
            numbered[version].rename(aside)
        except FileNotFoundError:
            # Another run of the same model has removed it.
            continue
        sync_folder(model_dir)
        with suppress(FileNotFoundError):
            shutil.rmtree(aside)
        removed.append(version)
    return removed


def roll_back(
    model_dir: Path,
    to: int | None = None,
    announce: Callable[[Path, Path], None] = lambda _source, _final: None,
) -> int:
    """Publish a copy of an older version under the next version number.

    Servers load it like any new version, so no request fails, and the version that was rolled back
    is kept. A second rollback goes back one more model.

    Args:
        model_dir: the model's base path.
        to: the version to copy; None for the model that was served before the newest.
        announce: called with the folders of the older and the new version before each attempt to
            publish it.

    Returns:
        The new version's number.

    Raises:
        NothingToRollBackTo: there is no such version, or another process removes it meanwhile.
        OSError: it cannot be written.
    """
    while True:
        source, newest = _chosen(model_dir, to)
        origin = read_origin(source)
        copy_of = origin.copy_of or int(source.name)
        with staging_folder(model_dir, STAGING_NAME) as staging:
            try:
                shutil.copytree(source, staging, dirs_exist_ok=True)
            except OSError:
                if source.is_dir():
                    raise
                # Another process has removed it: choose again.
                continue
            write_origin(staging, Origin(origin.model, copy_of, newest, now()))
            final = publish_as_next(staging, model_dir, partial(announce, source))
            return int(final.name)


def _chosen(model_dir: Path, to: int | None) -> tuple[Path, int]:
    """Return the folder of the version to copy, and the number of the newest version."""
    numbered = numbered_versions(model_dir)
    if not numbered:
        raise NothingToRollBackTo(
            f"{model_dir} has no version of a model: give the base path of a model"
        )
    newest = max(numbered)
    source = _before(numbered) if to is None else to
    if source not in numbered or source == newest:
        raise NothingToRollBackTo(
            f"{model_dir} has no version {source} older than {newest}; its versions are: "
            f"{', '.join(map(str, sorted(numbered)))}"
        )
    return numbered[source], newest


def _before(numbered: dict[int, Path]) -> int:
    """Return the version to roll back to from the newest.

    From a copy of an older version it is the version before the original, not the one that was
    rolled back.
    """
    newest = max(numbered)
    content = read_origin(numbered[newest]).copy_of or newest
    older = [version for version in numbered if version < content]
    if not older:
        raise NothingToRollBackTo(
            f"{numbered[newest].parent} has no version older than "
            + (f"{newest}" if content == newest else f"{newest}, a copy of {content}")
            + ": give the version to publish again"
        )
    return max(older)


def served_before(model_dir: Path, model_digest: str) -> Path | None:
    """Return the served version, which a candidate is compared with.

    It is the highest version. If that is the candidate itself, or a copy of it, it is the version
    served before the candidate was published, so that a repeated run compares with the same model
    as the first time.

    Args:
        model_dir: the model's base path.
        model_digest: of the candidate.

    Returns:
        The version's folder; None if there is none.
    """
    numbered = numbered_versions(model_dir)
    while numbered:
        newest = max(numbered)
        origin = read_origin(numbered[newest])
        if not origin.model or origin.model != model_digest:
            return numbered[newest]
        content = origin.copy_of or newest
        numbered = {version: path for version, path in numbered.items() if version < content}
    return None


def write_origin(version: Path, origin: Origin) -> None:
    """Write :data:`ORIGIN_FILE` of a version."""
    path = version / ORIGIN_FILE
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(asdict(origin), indent=2), "utf-8")


def now() -> str:
    """Return the time, in UTC (ISO 8601)."""
    return datetime.now(UTC).isoformat(timespec="seconds")
