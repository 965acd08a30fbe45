"""Versions of a model in its base path: published under the next number, rolled back, reclaimed.

A polling server serves the highest number that loads. So numbers only grow, also to go back to an
older model: its content is published again under a new number. Old versions are reclaimed from the
lowest up, and a folder leaves under a name that no server takes for a version before the first of
its files is deleted.
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
"""Names the folders in which versions are written before they have a number."""

_REMOVED = "removed"


class NothingToRollBackTo(ComponentError):
    """There is no older version, or not the one that was named."""


@dataclass(frozen=True)
class Origin:
    """Where the content of a version comes from.

    Args:
        model: the digest of the TrainedModel; empty where nobody knows.
        copy_of: the version whose content it is, by a roll-back; None if pushed as new.
        instead_of: the version that was rolled back; None if pushed as new.
        published: when, in UTC (ISO 8601); empty where nobody knows.
    """

    model: str = ""
    copy_of: int | None = None
    instead_of: int | None = None
    published: str = ""


def numbered_versions(model_dir: Path) -> dict[int, Path]:
    """Return the folder of each version in `model_dir`; none where it is no folder.

    Only folders named by a number count, as for TensorFlow Serving.
    """
    if not model_dir.is_dir():
        return {}
    # Where 07 and 7 are both there, servers take the latter, which comes last.
    return {
        int(path.name): path
        for path in sorted(model_dir.iterdir())
        if path.name.isascii() and path.name.isdecimal() and path.is_dir()
    }


def versions_of(model_dir: Path) -> list[int]:
    """Return the versions in `model_dir`, rising."""
    return sorted(numbered_versions(model_dir))


def next_version(model_dir: Path) -> int:
    """Return the version to publish in `model_dir`: one above the highest there, or 1."""
    return max(versions_of(model_dir), default=0) + 1


def publish_as_next(
    staging: Path, model_dir: Path, announce: Callable[[Path], None] = lambda _: None
) -> Path:
    """Make the complete folder `staging` the next version of `model_dir`.

    Another publisher may take a number between the look and the rename: then the next one is taken.

    Args:
        staging: a folder below `model_dir`, or on the same file system.
        model_dir: the model's base path.
        announce: called with the version's folder before each try.

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
    """Return where the content of a published version comes from; unknown if it does not say so.

    Raises:
        OSError: the file is there and cannot be read.
    """
    try:
        content = json.loads((version / ORIGIN_FILE).read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return Origin()
    if not isinstance(content, dict):
        return Origin()
    # A later release may say more.
    known = {field.name for field in fields(Origin)}
    return Origin(**{name: value for name, value in content.items() if name in known})


def reclaim(model_dir: Path, keep: int = DEFAULT_KEEP) -> list[int]:
    """Remove all but the `keep` newest versions, and what a killed reclaim left behind.

    Args:
        model_dir: the model's base path.
        keep: versions that stay, at least 2; 0 for all.

    Returns:
        The versions removed, rising.

    Raises:
        ParameterError: `keep` is too small.
        OSError: one cannot be removed; it is whole, or no longer a version.
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
            # Another run of the same model was faster.
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
    """Publish the content of an older version again, under the next number.

    A server takes it up as any new version, so that no request fails, and the version that was
    rolled back stays where it is. Rolling back again goes one model further back.

    Args:
        model_dir: the model's base path.
        to: the version whose content it shall be; the model that was served before the newest if
            None.
        announce: called with the older version's folder and the new one's, before each try to
            publish it.

    Returns:
        The new version's number.

    Raises:
        NothingToRollBackTo: there is no such version, or another publisher removes it meanwhile.
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
                # Another publisher has reclaimed it: look again.
                continue
            write_origin(staging, Origin(origin.model, copy_of, newest, now()))
            final = publish_as_next(staging, model_dir, partial(announce, source))
            return int(final.name)


def _chosen(model_dir: Path, to: int | None) -> tuple[Path, int]:
    """Return the folder of the version to go back to, and the newest version's number."""
    numbered = numbered_versions(model_dir)
    if not numbered:
        raise NothingToRollBackTo(f"{model_dir} holds no version of a model: name its base path")
    newest = max(numbered)
    source = _before(numbered) if to is None else to
    if source not in numbered or source == newest:
        raise NothingToRollBackTo(
            f"{model_dir} has no version {source} below {newest}; there are: "
            f"{', '.join(map(str, sorted(numbered)))}"
        )
    return numbered[source], newest


def _before(numbered: dict[int, Path]) -> int:
    """Return the version to go back to from the newest.

    From a copy of an older version it is what came before that one, not what was rolled back.
    """
    newest = max(numbered)
    content = read_origin(numbered[newest]).copy_of or newest
    older = [version for version in numbered if version < content]
    if not older:
        raise NothingToRollBackTo(
            f"{numbered[newest].parent} has nothing older than "
            + (f"version {newest}" if content == newest else f"{newest}, a copy of {content}")
            + ": name a version to go to"
        )
    return max(older)


def served_before(model_dir: Path, model_digest: str) -> Path | None:
    """Return the version that a candidate is compared with: the one that is served.

    A server serves the highest number. Where that is the candidate itself, or a copy of it, it is
    what was served before the candidate was published, so that a run done again compares with the
    same model as the first time.

    Args:
        model_dir: the model's base path.
        model_digest: of the candidate.

    Returns:
        The version's folder; None where there is none.
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
