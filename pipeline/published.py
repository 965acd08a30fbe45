"""The published versions of a model: the served one, and the origin and blessings of each.

The data come from the origin file of a version and from the metadata store of its root; without a
store, from the origin file alone.
"""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from tunesmith.components.artifacts import NATS, Blessing
from tunesmith.components.errors import ArgumentError, ComponentError
from tunesmith.components.pusher.versions import Origin, numbered_versions, read_origin
from tunesmith.pipeline.database import connect
from tunesmith.pipeline.figures import FigureReader, artifact_type
from tunesmith.pipeline.history import store_path
from tunesmith.pipeline.lineage import NotRecorded, find_root
from tunesmith.pipeline.store import recorded_path

MODELS = "models"
"""The folder of a root with a base path for each model name."""


class NoVersions(ComponentError):
    """A folder has no version of a model."""


class NotABasePath(ArgumentError, NoVersions):
    """A folder is not the base path of a model."""


@dataclass(frozen=True)
class Finding:
    """The latest result of a gate for a model.

    Args:
        component: name of the gate.
        execution: ID of its execution.
        blessed: whether it blesses the model.
        message: the reason of a refusal.
    """

    component: str
    execution: int
    blessed: bool
    message: str


@dataclass(frozen=True)
class PublishedVersion:
    """A version of a model that a server can load.

    Args:
        model_name: name under which the model is served.
        version: its number.
        path: its folder, absolute.
        is_served: whether it is the highest version, which servers serve.
        model: digest of the model; empty if unknown.
        kind: ``pushed``, ``rollback`` (a copy of an older version), or ``foreign`` (it has no
            origin file).
        copy_of: the version that it is a copy of; None for a pushed model.
        instead_of: the version that was rolled back for it; None for a pushed model.
        rolled_back_by: the version that replaced it by a rollback; None without a rollback.
        published: in seconds since the epoch; None if unknown.
        run: ID of the run that published it; None if not recorded.
        execution: ID of the execution that published it; None if not recorded.
        trained_by: ID of the execution that trained the model; None if not recorded.
        findings: the latest finding of each gate.
        nats: mean negative log likelihood of a frame of the eval split; None if unknown.
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
        """True if every gate that checked the model blesses it; None if no gate did."""
        return all(each.blessed for each in self.findings) if self.findings else None


def model_dirs(root: Path, model_name: str | None = None) -> list[Path]:
    """Return the base paths of the published models in a root, sorted by name.

    Args:
        root: of the pipeline.
        model_name: of one model; None for all.

    Raises:
        NoVersions: there is no published version.
    """
    models = root / MODELS
    names = sorted(models.iterdir()) if models.is_dir() else []
    wanted = [each for each in names if each.is_dir() and model_name in (None, each.name)]
    found = [each for each in wanted if numbered_versions(each)]
    if not found:
        which = "model" if model_name is None else f"model named {model_name}"
        raise NoVersions(f"{root} has no version of a {which}: publish one with tunesmith run")
    return found


def read_versions(model_dir: Path) -> list[PublishedVersion]:
    """Return the versions of a model, the oldest first.

    Args:
        model_dir: the model's base path.

    Raises:
        NoVersions: there is no version.
        StoreError: the metadata store of its root cannot be read.
    """
    folders = numbered_versions(model_dir)
    if not folders:
        raise NotABasePath(
            "model_dir",
            f"{model_dir} has no version of a model: give the base path of a model, such as "
            f"ROOT/{MODELS}/tunesmith",
        )
    origins = {version: read_origin(folder) for version, folder in folders.items()}
    with ExitStack() as stack:
        try:
            root = find_root(model_dir)
        except NotRecorded:
            records = None
        else:
            records = _ModelRecords(stack.enter_context(connect(store_path(root))), root)
        return [
            _version(version, folders[version].resolve(), origins, records)
            for version in sorted(folders)
        ]


def _version(
    version: int, folder: Path, origins: dict[int, Origin], records: _ModelRecords | None
) -> PublishedVersion:
    origin = origins[version]
    publisher = records.publisher(folder) if records else None
    findings = records.findings(origin.model) if records else {}
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
        trained_by=records.trained_by(origin.model) if records else None,
        findings=tuple(findings.values()),
        nats=records.nats(findings) if records else None,
    )


class _ModelRecords:
    """The records of models and versions in a metadata store.

    Args:
        connection: to the store.
        root: of the pipeline.
    """

    def __init__(self, connection: sqlite3.Connection, root: Path) -> None:
        self._connection = connection
        self._root = root
        self._figures = FigureReader(root)

    def publisher(self, version: Path) -> sqlite3.Row | None:
        """Return the ID and the run of the execution that published a version."""
        found: sqlite3.Row | None = self._connection.execute(
            "SELECT executions.id, run FROM artifacts "
            "JOIN executions ON executions.id = artifacts.execution "
            "WHERE path = ? ORDER BY executions.id DESC LIMIT 1",
            (recorded_path(self._root, version),),
        ).fetchone()
        return found

    def trained_by(self, model: str) -> int | None:
        """Return the first execution whose artifact is the model."""
        found = self._connection.execute(
            "SELECT execution FROM artifacts WHERE type = 'TrainedModel' AND digest = ? "
            "AND execution NOTNULL ORDER BY id LIMIT 1",
            (model,),
        ).fetchone()
        return None if found is None else int(found[0])

    def findings(self, model: str) -> dict[str, Finding]:
        """Return the newest finding of each gate for a model, by the type of its artifact."""
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
        """Return the nats of the newest evaluation that has them."""
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
