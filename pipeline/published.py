"""The published versions of a model: which are there, which is served, and what is known of each.

What a version says of itself stands beside what the metadata store of the root around it has; where
there is no store, the first alone is told.
"""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from tunesmith.components.artifacts import NATS, Blessing
from tunesmith.components.errors import ComponentError
from tunesmith.components.pusher.versions import Origin, numbered_versions, read_origin
from tunesmith.pipeline.database import connect
from tunesmith.pipeline.figures import FigureReader, artifact_type
from tunesmith.pipeline.history import store_path
from tunesmith.pipeline.lineage import NotRecorded, find_root
from tunesmith.pipeline.store import recorded_path

MODELS = "models"
"""The folder of a root that holds a base path for each model's name."""


class NoVersions(ComponentError):
    """There is no version of a model where it was looked for."""


@dataclass(frozen=True)
class Finding:
    """What a gate found about a model, the last time that it looked.

    Args:
        component: the gate's name.
        execution: the execution's id.
        blessed: whether it blesses the model.
        message: why it does not.
    """

    component: str
    execution: int
    blessed: bool
    message: str


@dataclass(frozen=True)
class PublishedVersion:
    """A version of a model that a server can load.

    Args:
        model_name: the name that the model is served under.
        version: its number.
        path: its folder, absolute.
        is_served: whether it is the highest, which a server takes up.
        model: the digest of the model; empty where nobody knows.
        kind: ``pushed``, ``rollback`` (a copy of an older version), or ``foreign`` (nothing in it
            says where it comes from).
        copy_of: the version whose content it is; None for one pushed as new.
        instead_of: the version that was rolled back for it; None for one pushed as new.
        rolled_back_by: the version that took its place by a rollback; None if none did.
        published: in seconds since the epoch; None where nobody knows.
        run: the id of the run that published it; None where none recorded it.
        execution: the id of the execution that published it; None as for `run`.
        trained_by: the id of the execution that trained the model; None where none is recorded.
        findings: of each gate that looked at the model, its last one.
        nats: mean negative log likelihood of a frame of the eval split; None where unknown.
    """

    model_name: str
    version: int
    path: str
    is_served: bool
    model: str
    kind: Literal["pushed", "rollback", "foreign"]
    copy_of: int | None
    instead_of: int | None
    rolled_back_by: int | None
    published: float | None
    run: int | None
    execution: int | None
    trained_by: int | None
    findings: tuple[Finding, ...]
    nats: float | None

    @property
    def blessed(self) -> bool | None:
        """Whether every gate that looked at the model blesses it; None if none looked."""
        return all(each.blessed for each in self.findings) if self.findings else None


def model_dirs(root: Path, model_name: str | None = None) -> list[Path]:
    """Return the base path of each model in a root that has a version, by name.

    Args:
        root: the pipeline's.
        model_name: of the one wanted; None for all.

    Raises:
        NoVersions: there is none.
    """
    models = root / MODELS
    names = sorted(models.iterdir()) if models.is_dir() else []
    wanted = [each for each in names if each.is_dir() and model_name in (None, each.name)]
    found = [each for each in wanted if numbered_versions(each)]
    if not found:
        which = "model" if model_name is None else f"model named {model_name}"
        raise NoVersions(f"{root} holds no version of a {which}: tunesmith run publishes one")
    return found


def read_versions(model_dir: Path) -> list[PublishedVersion]:
    """Return the versions of a model, the oldest first.

    Args:
        model_dir: the model's base path.

    Raises:
        NoVersions: there is none.
        StoreError: the metadata store of the root around it cannot be read.
    """
    folders = numbered_versions(model_dir)
    if not folders:
        raise NoVersions(
            f"{model_dir} holds no version of a model: name its base path, such as "
            f"ROOT/{MODELS}/tunesmith"
        )
    origins = {version: read_origin(folder) for version, folder in folders.items()}
    with ExitStack() as stack:
        try:
            root = find_root(model_dir)
        except NotRecorded:
            known = None
        else:
            known = _Known(stack.enter_context(connect(store_path(root))), root)
        return [
            _version(version, folders[version].resolve(), origins, known)
            for version in sorted(folders)
        ]


def _version(
    version: int, folder: Path, origins: dict[int, Origin], known: _Known | None
) -> PublishedVersion:
    origin = origins[version]
    publisher = known.publisher(folder) if known else None
    findings = known.findings(origin.model) if known else {}
    replaced = [each for each, other in origins.items() if other.instead_of == version]
    return PublishedVersion(
        model_name=folder.parent.name,
        version=version,
        path=str(folder),
        is_served=version == max(origins),
        model=origin.model,
        kind="rollback" if origin.copy_of else "pushed" if origin.model else "foreign",
        copy_of=origin.copy_of,
        instead_of=origin.instead_of,
        rolled_back_by=max(replaced, default=None),
        published=_seconds(origin.published),
        run=publisher["run"] if publisher else None,
        execution=publisher["id"] if publisher else None,
        trained_by=known.trained_by(origin.model) if known else None,
        findings=tuple(findings.values()),
        nats=known.nats(findings) if known else None,
    )


class _Known:
    """What a root's metadata store has about models and versions.

    Args:
        connection: to the store.
        root: the pipeline's.
    """

    def __init__(self, connection: sqlite3.Connection, root: Path) -> None:
        self._connection = connection
        self._root = root
        self._figures = FigureReader(root)

    def publisher(self, version: Path) -> sqlite3.Row | None:
        """Return id and run of the execution that published a version."""
        found: sqlite3.Row | None = self._connection.execute(
            "SELECT executions.id, run FROM artifacts "
            "JOIN executions ON executions.id = artifacts.execution "
            "WHERE path = ? ORDER BY executions.id DESC LIMIT 1",
            (recorded_path(self._root, version),),
        ).fetchone()
        return found

    def trained_by(self, model: str) -> int | None:
        """Return the first execution that left the model."""
        found = self._connection.execute(
            "SELECT execution FROM artifacts WHERE type = 'TrainedModel' AND digest = ? "
            "AND execution NOTNULL ORDER BY id LIMIT 1",
            (model,),
        ).fetchone()
        return None if found is None else int(found[0])

    def findings(self, model: str) -> dict[str, Finding]:
        """Return the newest finding about a model of each gate, by the type of its artifact."""
        rows = self._connection.execute(
            "SELECT component, executions.id, outcome, message, made.type FROM artifacts AS model "
            "JOIN inputs ON inputs.artifact = model.id "
            "JOIN executions ON executions.id = inputs.execution "
            "JOIN artifacts AS made ON made.execution = executions.id "
            "WHERE model.type = 'TrainedModel' AND model.digest = ? "
            "AND outcome IN ('complete', 'refused') ORDER BY executions.id",
            (model,),
        )
        return {
            row["type"]: Finding(
                row["component"], row["id"], row["outcome"] == "complete", row["message"]
            )
            for row in rows
            if artifact_type(row["type"], Blessing) is not None
        }

    def nats(self, findings: dict[str, Finding]) -> float | None:
        """Return the nats of the newest evaluation that has any."""
        for kind, finding in findings.items():
            path = self._connection.execute(
                "SELECT path FROM artifacts WHERE execution = ?", (finding.execution,)
            ).fetchone()[0]
            figures = self._figures.of(kind, path)
            if NATS in figures:
                return figures[NATS]
        return None


def _seconds(published: str) -> float | None:
    """Return a time in ISO 8601 as seconds since the epoch; None for anything else."""
    try:
        return datetime.fromisoformat(published).timestamp()
    except (TypeError, ValueError):
        return None
