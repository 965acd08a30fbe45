"""The runner: executes a component once for the same inputs, parameters and code.

Every execution is recorded; an equal one whose artifact exists is skipped. An artifact becomes
visible only when it is complete, so that a killed run resumes when it is started again.
"""

from __future__ import annotations

import errno
import glob
import json
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self, TypeVar

from tunesmith.components.artifacts import Artifact, Blessing
from tunesmith.components.component import Component, Context
from tunesmith.components.errors import ComponentError, GateClosed
from tunesmith.components.processes import is_running, this_process
from tunesmith.components.progress import Progress
from tunesmith.components.publishing import publish, staging_folder
from tunesmith.components.pusher.versions import STAGING_NAME, next_version, publish_as_next
from tunesmith.pipeline.database import StoreError
from tunesmith.pipeline.planner import Plan, Planner, changed_libraries
from tunesmith.pipeline.root_lock import lock_root
from tunesmith.pipeline.store import (
    ArtifactRow,
    CachedExecution,
    ExecutionStore,
)

Inputs = TypeVar("Inputs")
Parameters = TypeVar("Parameters")
Output = TypeVar("Output", bound=Artifact)


class RootUnusable(ComponentError):
    """The root cannot be written, or its disk is full."""


class Runner:
    """Executes components below one root folder, one run at a time.

    A ``with`` block is one run: it holds the root's lock, and the metadata store has its executions
    under one run ID. Outside of a block each call of :meth:`run` is a run of its own.

    Args:
        root: folder of the metadata store and of all artifacts; created if it does not exist.
        progress: where progress is shown.
        clock: seconds since the epoch.
        command: name of the command, for the metadata store.
        config: parameters of the command, for the metadata store, as JSON; other values as text.
        config_text: the configuration file that repeats the run; empty without one.
        wait: whether to wait for another run in this root, or to raise.
        beam_options: passed to Beam.
        rerun: components to execute even if an equal execution is recorded.
    """

    def __init__(
        self,
        root: Path,
        progress: Progress,
        clock: Callable[[], float] = time.time,
        *,
        command: str = "Runner",
        config: Mapping[str, Any] | None = None,
        config_text: str = "",
        wait: bool = True,
        beam_options: tuple[str, ...] = (),
        rerun: Collection[str] = (),
    ) -> None:
        self._root = root
        self._progress = progress
        self._clock = clock
        self._command = command
        self._config = json.dumps(dict(config or {}), sort_keys=True, default=str)
        self._config_text = config_text
        self._beam_options = beam_options
        self._rerun = frozenset(rerun)
        self._wait = wait
        self._held = ExitStack()
        self._run: int | None = None

    def __enter__(self) -> Self:
        """Begin a run.

        Raises:
            RootBusy: another run holds the lock, and `wait` is not set.
            RootUnusable: the root cannot be written.
            StoreError: the metadata store cannot be used.
        """
        with self._held, _one_line_errors(self._root):
            self._root.mkdir(parents=True, exist_ok=True)
            self._held.enter_context(
                lock_root(self._root, self._wait, self._progress.say, self._clock)
            )
            self._store = ExecutionStore(self._root)
            self.planner = Planner(self._root, self._store, self._rerun)
            self._mark_killed_runs()
            self._run = self._store.begin_run(
                self._command,
                self._config,
                version("tunesmith"),
                this_process(),
                self._clock(),
                self._config_text,
            )
            self._held = self._held.pop_all()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """End the run and record its outcome."""
        assert self._run is not None
        run, self._run = self._run, None
        with self._held:
            if error is None:
                self._store.close_run(run, "complete", "", self._clock())
                return
            # The original error is raised even if it cannot be recorded.
            with suppress(StoreError):
                self._store.close_run(run, _outcome(error), _message(error), self._clock())

    def run(
        self,
        component: Component[Inputs, Parameters, Output],
        inputs: Inputs,
        parameters: Parameters,
    ) -> Output:
        """Return the component's artifact, from this execution or an equal earlier one.

        Raises:
            GateClosed: the component refused its inputs, now or in an equal earlier execution.
            RootUnusable: there is no space left, or the root cannot be written.
            StoreError: the metadata store cannot be used.
        """
        if self._run is None:
            with self:
                return self.run(component, inputs, parameters)
        plan = self.planner.plan(component, inputs, parameters, self._run)
        if plan.cached is not None:
            # The run that completed it may have been killed before its cleanup.
            shutil.rmtree(plan.checkpoints, ignore_errors=True)
            self._take_cached(component.name, plan.cached)
            path = self._root / plan.cached.path
            made = component.output(path, plan.cached.digest)
        else:
            made = self._execute(component, inputs, parameters, plan)
        component.tidy_up(made, parameters, self._progress)
        return made

    def take(self, execution: CachedExecution) -> None:
        """Record that this run uses the artifact of an earlier execution."""
        assert self._run is not None
        self._store.skip(self._run, execution.id, self._clock())

    def _take_cached(self, name: str, cached: CachedExecution) -> None:
        self.take(cached)
        how = "refused" if cached.outcome == "refused" else "done"
        self._progress.say(f"{name}: {how} before (execution {cached.id}), skipped")
        for library, before, now in changed_libraries(cached.libraries, self.planner.libraries):
            self._progress.say(
                f"warning: {name} was executed with {library} {before}, and {now} is installed: to "
                f"execute it again, use tunesmith run --rerun {name}"
            )
        if cached.outcome == "refused":
            raise GateClosed(cached.message)

    def _execute(
        self,
        component: Component[Inputs, Parameters, Output],
        inputs: Inputs,
        parameters: Parameters,
        plan: Plan,
    ) -> Output:
        started = self._clock()
        number, destination = self._store.begin(
            plan.execution,
            lambda number: self._destination(component, parameters, number),
            started,
        )
        try:
            with _one_line_errors(self._root):
                made, refusal, ended = self._publish(
                    component, inputs, parameters, plan, number, destination
                )
        except BaseException as error:
            with suppress(StoreError):
                self._store.stop(number, _outcome(error), _message(error), self._clock())
            raise
        self._store.finish(number)
        shutil.rmtree(plan.checkpoints, ignore_errors=True)
        how = "refused" if refusal else "done"
        self._progress.say(f"{component.name}: {how} in {ended - started:.1f} s -> {made.path}")
        if refusal:
            raise GateClosed(refusal)
        return made

    def _destination(
        self, component: Component[Any, Parameters, Any], parameters: Parameters, number: int
    ) -> Path:
        if component.model_dir is None:
            return self._root / component.name / str(number)
        model_dir = component.model_dir(self._root, parameters)
        return model_dir / str(next_version(model_dir))

    def _publish(
        self,
        component: Component[Inputs, Parameters, Output],
        inputs: Inputs,
        parameters: Parameters,
        plan: Plan,
        number: int,
        destination: Path,
    ) -> tuple[Output, str, float]:
        """Run the executor in a staging folder and make its artifact visible.

        Returns:
            The artifact, the refusal of a gate (empty for none), and the time of its end.
        """
        model_dir = component.model_dir and component.model_dir(self._root, parameters)
        name = STAGING_NAME if model_dir else destination.name
        with staging_folder(destination.parent, name) as staging:
            context = Context(
                staging,
                self._root,
                self._progress,
                self._beam_options,
                plan.checkpoints if component.resumable else None,
            )
            component.execute(inputs, parameters, context)
            written = component.output(staging, "")
            refusal = ""
            if isinstance(written, Blessing) and not written.blessed:
                refusal = written.refusal()
            digest, ended = written.content_digest(), self._clock()

            def announce(path: Path) -> None:
                row = ArtifactRow(
                    component.output.__name__, self.planner.recorded_path(path), digest
                )
                outcome = "refused" if refusal else "complete"
                self._store.record_result(number, outcome, refusal, row, ended)

            if model_dir:
                destination = publish_as_next(staging, model_dir, announce)
            else:
                announce(destination)
                publish(staging, destination)
        return component.output(destination, digest), refusal, ended

    def _mark_killed_runs(self) -> None:
        """Record the runs that were killed, and remove their incomplete artifacts."""
        for run, process in self._store.running():
            if is_running(process):
                continue
            for destination in self._store.close_run(run, "killed", f"{process} was killed", None):
                aside = f".{glob.escape(destination.name)}.partial-*"
                for left in destination.parent.glob(aside):
                    shutil.rmtree(left, ignore_errors=True)
            self._progress.say(f"run {run} was killed; its complete artifacts are kept")


@contextmanager
def _one_line_errors(root: Path) -> Iterator[None]:
    """Turn a system error below `root` into a :class:`RootUnusable` with advice."""
    advice = {
        errno.ENOSPC: "free disk space and run again; completed components are kept",
        errno.EDQUOT: "free disk space and run again; completed components are kept",
        errno.EFBIG: "allow larger files and run again; completed components are kept",
        errno.EROFS: "choose a root that is writable",
        errno.EACCES: "choose a root that you may write to",
        errno.EPERM: "choose a root that you may write to",
        errno.EEXIST: "choose a folder as root, or one that does not exist yet",
        errno.ENOTDIR: "choose a folder as root, or one that does not exist yet",
    }
    try:
        yield
    except OSError as error:
        where = Path(os.fsdecode(error.filename)) if error.filename else root
        # Errors outside the root, such as an unreadable song, carry their own message.
        if error.errno not in advice or not where.absolute().is_relative_to(root.absolute()):
            raise
        raise RootUnusable(f"{where}: {error.strerror}: {advice[error.errno]}") from error


def _outcome(error: BaseException) -> str:
    if isinstance(error, GateClosed):
        return "refused"
    return "failed" if isinstance(error, Exception) else "interrupted"


def _message(error: BaseException) -> str:
    """Return the message of an error in one line."""
    return " ".join(str(error).split()) or type(error).__name__
