"""Rolls a model back, and records the rollback as an execution of the model's root.

It does not wait for the root's lock: a run that trains for hours must not delay a rollback.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from tunesmith.components.artifacts import PushedModel, digest_of
from tunesmith.components.errors import ComponentError
from tunesmith.components.processes import this_process
from tunesmith.components.progress import Progress
from tunesmith.components.pusher import versions
from tunesmith.pipeline.code_version import code_version, library_versions
from tunesmith.pipeline.database import StoreError
from tunesmith.pipeline.lineage import NotRecorded, find_root
from tunesmith.pipeline.store import ArtifactRow, Execution, ExecutionStore, recorded_path

ROLLBACK = "Rollback"
"""Component name of a recorded rollback."""


def roll_back(
    model_dir: Path,
    to: int | None,
    progress: Progress,
    clock: Callable[[], float] = time.time,
) -> int:
    """Publish an older version again; see :func:`tunesmith.components.pusher.versions.roll_back`.

    In the root of a pipeline it is recorded. If the metadata store cannot be used, a warning says
    so and the version is published anyway.

    Args:
        model_dir: the model's base path.
        to: the version to publish again; None for the model that was served before the newest.
        progress: shows the warning.
        clock: seconds since the epoch.

    Returns:
        The new version's number.

    Raises:
        NothingToRollBackTo: there is no such version.
        OSError: it cannot be written.
    """
    try:
        root = find_root(model_dir)
    except NotRecorded:
        return versions.roll_back(model_dir, to)
    record = _Record(root, {"model_dir": recorded_path(root, model_dir), "to": to}, clock)
    try:
        published = versions.roll_back(model_dir, to, record.announce)
    except BaseException as error:
        record.finish("failed" if isinstance(error, Exception) else "interrupted", str(error))
        raise
    record.finish("complete")
    if record.problem is not None:
        progress.say(f"warning: the rollback is not recorded: {record.problem}")
    return published


class _Record:
    """The record of a rollback in the metadata store.

    Args:
        root: of the pipeline.
        parameters: of the rollback.
        clock: seconds since the epoch.
    """

    def __init__(
        self, root: Path, parameters: dict[str, object], clock: Callable[[], float]
    ) -> None:
        self._root = root
        self._parameters = json.dumps(parameters)
        self._clock = clock
        self._started = clock()
        self._store: ExecutionStore | None = None
        self._run = self._execution = 0
        self._made: ArtifactRow | None = None
        self.problem: ComponentError | None = None

    def announce(self, source: Path, final: Path) -> None:
        """Record that the content of `source` will be published as `final`."""
        if self.problem is not None:
            return
        digest = PushedModel(source, "").content_digest()
        try:
            if self._store is None:
                self._store = ExecutionStore(self._root)
                self._begin(self._store, source, digest, final)
            self._made = self._row(final, digest)
            self._store.record_result(self._execution, "complete", "", self._made, self._clock())
        except StoreError as error:
            self.problem = error

    def finish(self, outcome: str, message: str = "") -> None:
        """Record the outcome; nothing if the rollback did not begin."""
        if self._store is None or self._made is None:
            return
        now = self._clock()
        try:
            if outcome == "complete":
                # A run on another host may have recorded this process as killed.
                self._store.record_result(self._execution, "complete", "", self._made, now)
                self._store.finish(self._execution)
            self._store.close_run(self._run, outcome, " ".join(message.split()), now)
        except StoreError as error:
            self.problem = error

    def _begin(self, store: ExecutionStore, source: Path, digest: str, final: Path) -> None:
        self._run = store.begin_run(
            "rollback", self._parameters, version("tunesmith"), this_process(), self._started
        )
        code = code_version((versions.__name__,))
        execution = Execution(
            self._run,
            ROLLBACK,
            # A rollback is never cached: each has a fingerprint of its own.
            digest_of([ROLLBACK, str(self._run), digest]),
            self._parameters,
            code.digest,
            {"model": self._row(source, digest)},
            json.dumps(dict(code.modules), sort_keys=True),
            json.dumps(library_versions(), sort_keys=True),
        )
        self._execution, _ = store.begin(execution, lambda _: final, self._started)

    def _row(self, folder: Path, digest: str) -> ArtifactRow:
        return ArtifactRow(PushedModel.__name__, recorded_path(self._root, folder), digest)
