"""Pusher: publishes a trained model under the next version number, whole or not at all.

A polling server serves the highest number that loads. So numbers only grow, also to go back to an
older model: its content is published again under a new number. Old versions are reclaimed from the
lowest up, and a folder leaves under a name that no server takes for a version before the first of
its files is deleted.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from tunesmith.components.artifacts import TrainedModel
from tunesmith.components.errors import ComponentError
from tunesmith.components.publishing import staged_directory, sync_folder

DEFAULT_KEEP = 5
"""Versions that stay; two are needed to go back, and a model of the paper's size takes 8 MB."""

FEWEST_KEPT = 2
"""The newest, and the one that a server goes on with until it has loaded the newest."""

ORIGIN_FILE = "assets.extra/tunesmith_origin.json"
"""Where a version says what it is; servers look at nothing but their warm-up requests there."""

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


def versions_of(model_dir: Path) -> list[int]:
    """Return the versions in `model_dir`, rising.

    Only folders named by a number count, as for TensorFlow Serving.
    """
    if not model_dir.is_dir():
        return []
    return sorted(_numbered(model_dir))


def next_version(model_dir: Path) -> int:
    """Return the version to publish in `model_dir`: one above the highest there, or 1."""
    return max(versions_of(model_dir), default=0) + 1


def push(model: TrainedModel, output: Path) -> None:
    """Copy the SavedModel of `model` into the folder `output`, with its :class:`Origin`.

    Whoever calls makes `output` visible under its version number only when it is complete (see
    :func:`tunesmith.components.publishing.staged_directory`): a server polls the folder.
    """
    shutil.copytree(model.saved_model, output, dirs_exist_ok=True)
    _write_origin(output, Origin(model=model.digest, published=_now()))


def read_origin(version: Path) -> Origin:
    """Return where the content of a published version comes from."""
    try:
        return Origin(**json.loads((version / ORIGIN_FILE).read_text("utf-8")))
    except FileNotFoundError:
        return Origin()


def check_keep(keep: int) -> int:
    """Return `keep` if so many versions may be kept.

    Raises:
        ValueError: a server may still need the version that would go.
    """
    if keep != 0 and keep < FEWEST_KEPT:
        raise ValueError(
            f"keep at least {FEWEST_KEPT} versions (a server goes on with the older one until it "
            f"has loaded the newer), or 0 for all, not {keep}"
        )
    return keep


def reclaim(model_dir: Path, keep: int = DEFAULT_KEEP) -> list[int]:
    """Remove all but the `keep` newest versions, and what a killed reclaim left behind.

    Args:
        model_dir: the model's base path.
        keep: versions that stay, at least 2; 0 for all.

    Returns:
        The versions removed, rising.

    Raises:
        ValueError: see :func:`check_keep`.
        OSError: one cannot be removed; it is whole, or no longer a version.
    """
    check_keep(keep)
    for left in model_dir.glob(f".*.{_REMOVED}-*"):
        shutil.rmtree(left, ignore_errors=True)
    numbered = _numbered(model_dir) if model_dir.is_dir() else {}
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


def roll_back(model_dir: Path, to: int | None = None) -> int:
    """Publish the content of an older version again, under the next number.

    A server takes it up as any new version, so that no request fails, and the version that was
    rolled back stays where it is. Rolling back again goes one model further back.

    Args:
        model_dir: the model's base path.
        to: the version whose content it shall be; the model that was served before the newest if
            None.

    Returns:
        The new version's number.

    Raises:
        NothingToRollBackTo: there is no such version.
        OSError: it cannot be written.
    """
    numbered = _numbered(model_dir) if model_dir.is_dir() else {}
    if not numbered:
        raise NothingToRollBackTo(f"{model_dir} holds no version of a model: name its base path")
    newest = max(numbered)
    source = _before(numbered) if to is None else to
    if source not in numbered or source == newest:
        raise NothingToRollBackTo(
            f"{model_dir} has no version {source} below {newest}; there are: "
            f"{', '.join(map(str, sorted(numbered)))}"
        )
    origin = read_origin(numbered[source])
    origin = Origin(origin.model, origin.copy_of or source, newest, _now())
    while True:
        version = next_version(model_dir)
        try:
            with staged_directory(model_dir / str(version)) as staging:
                shutil.copytree(numbered[source], staging, dirs_exist_ok=True)
                _write_origin(staging, origin)
        except OSError as error:
            # A run pushed the same number in the meantime.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        else:
            return version


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


def _numbered(model_dir: Path) -> dict[int, Path]:
    # Where 07 and 7 are both there, servers take the latter, which comes last.
    return {
        int(path.name): path
        for path in sorted(model_dir.iterdir())
        if path.name.isascii() and path.name.isdecimal() and path.is_dir()
    }


def _write_origin(version: Path, origin: Origin) -> None:
    path = version / ORIGIN_FILE
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(asdict(origin), indent=2), "utf-8")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
