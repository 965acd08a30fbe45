"""The runner: executes a component once for the same inputs, parameters and code.

What it executes it records; what it finds recorded, and still there, it skips. An artifact becomes
visible only when it is complete, so that a killed run, started again, goes on where it was.
"""

from __future__ import annotations

import errno
import glob
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, Concatenate, Generic, Self, TypeVar

from tunesmith.components.artifacts import Artifact, MidiFolder
from tunesmith.components.errors import ComponentError, GateClosed
from tunesmith.components.progress import Progress
from tunesmith.components.publishing import staged_directory
from tunesmith.pipeline.processes import is_running, this_process
from tunesmith.pipeline.root_lock import lock_root
from tunesmith.pipeline.sources import ListedMidiFolder, digest_of, midi_folder, source_digest
from tunesmith.pipeline.store import ArtifactRow, Execution, ExecutionStore, Known, RecordError

__all__ = ["CHECKPOINTS", "Component", "Runner", "midi_folder", "source_digest"]

Inputs = TypeVar("Inputs")
Parameters = TypeVar("Parameters")
Output = TypeVar("Output", bound=Artifact)

CHECKPOINTS = "checkpoints"
"""Folder of the root in which a resumable execution keeps what it goes on from."""


class RootUnusable(ComponentError):
    """The root cannot be written, or is full."""


@dataclass(frozen=True)
class Component(Generic[Inputs, Parameters, Output]):
    """A component as the runner knows it.

    Args:
        name: TFX's name for it.
        output: the artifact type that it leaves.
        execute: writes the artifact into an empty folder. It may end with
            :class:`~tunesmith.components.errors.GateClosed`: the artifact is kept, the run stops.
        code: the modules and packages whose source is the component's version.
        destination: where its artifact goes, from the pipeline's root and the execution's id.
        resumable: `execute` takes a folder more, in which it may keep what it needs to go on after
            a kill or a failure. An equal execution finds the folder again; it is removed when one
            is complete.
        asks_again: a refusal depends on more than the inputs, such as the machine's speed, so that
            the next run executes it anew; otherwise an equal execution is refused unseen.
    """

    name: str
    output: type[Output]
    execute: Callable[Concatenate[Inputs, Parameters, Path, Progress, ...], None]
    code: tuple[str, ...]
    destination: Callable[[Path, int, Parameters], Path]
    resumable: bool = False
    asks_again: bool = False


class Runner:
    """Executes components below one root folder, one run at a time.

    A ``with`` block is one run: it holds the root's lock, and the record ties its executions
    together. Outside of a block each call of :meth:`run` is a run of its own.

    Args:
        root: the folder that holds the record and every artifact; made if it is not there.
        progress: where it says what it does.
        clock: seconds since the epoch.
        command: what was called, for the record.
        told: what it was told, for the record; what JSON cannot say is recorded as text.
        wait: whether to wait for another run in this root, or to raise.
    """

    def __init__(
        self,
        root: Path,
        progress: Progress,
        clock: Callable[[], float] = time.time,
        *,
        command: str = "Runner",
        told: Mapping[str, Any] | None = None,
        wait: bool = True,
    ) -> None:
        self._root = root
        self._progress = progress
        self._clock = clock
        self._command = command
        self._told = json.dumps(dict(told or {}), sort_keys=True, default=str)
        self._wait = wait
        self._held = ExitStack()
        self._run: int | None = None

    def __enter__(self) -> Self:
        """Begin a run.

        Raises:
            RootBusy: another run works here, and `wait` is not set.
            RootUnusable: the root cannot be written.
            RecordError: the record cannot be used.
        """
        with self._held, _told_in_one_line(self._root):
            self._root.mkdir(parents=True, exist_ok=True)
            self._held.enter_context(
                lock_root(self._root, self._wait, self._progress.say, self._clock)
            )
            self._store = ExecutionStore(self._root)
            self._bury_the_dead()
            self._run = self._store.begin_run(
                self._command, self._told, version("tunesmith"), this_process(), self._clock()
            )
            self._held = self._held.pop_all()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """End the run, and record how it ended."""
        assert self._run is not None
        run, self._run = self._run, None
        with self._held:
            if error is None:
                self._store.close_run(run, "complete", "", self._clock())
                return
            # What happened is worth more than that the record could not take it.
            with suppress(RecordError):
                self._store.close_run(run, _outcome(error), _message(error), self._clock())

    def run(
        self,
        component: Component[Inputs, Parameters, Output],
        inputs: Inputs,
        parameters: Parameters,
    ) -> Output:
        """Return the component's artifact, from this execution or from an earlier equal one.

        Raises:
            GateClosed: the component refused what it was given, now or in an earlier execution.
            RootUnusable: there is no space left, or the root cannot be written.
            RecordError: the record cannot be used.
        """
        if self._run is None:
            with self:
                return self.run(component, inputs, parameters)
        execution = self._describe(self._run, component, inputs, parameters)
        kept = self._root / CHECKPOINTS / execution.fingerprint
        known = self._store.find(execution.fingerprint)
        if known is not None and not (known.outcome == "refused" and component.asks_again):
            # The run that completed it may have been killed before it could clear up.
            shutil.rmtree(kept, ignore_errors=True)
            self._skip(component.name, known, self._run)
            return component.output(self._root / known.path, execution.fingerprint)
        return self._execute(component, inputs, parameters, execution, kept)

    def _describe(
        self,
        run: int,
        component: Component[Inputs, Parameters, Output],
        inputs: Inputs,
        parameters: Parameters,
    ) -> Execution:
        code = source_digest(component.code)
        parameter_text = json.dumps(asdict(parameters), sort_keys=True)  # type: ignore[call-overload]
        given = _artifacts(inputs)
        digests = ["" if artifact is None else artifact.digest for artifact in given.values()]
        fingerprint = digest_of([component.name, code, parameter_text, *digests])
        rows = {
            name: ArtifactRow(
                # What it lists is a matter of the record; its type is the folder's.
                "MidiFolder" if isinstance(artifact, MidiFolder) else type(artifact).__name__,
                self._recorded_path(artifact.path),
                artifact.digest,
                artifact.files if isinstance(artifact, ListedMidiFolder) else (),
            )
            for name, artifact in given.items()
            if artifact is not None
        }
        return Execution(run, component.name, fingerprint, parameter_text, code, rows)

    def _skip(self, name: str, known: Known, run: int) -> None:
        self._store.skip(run, known.id, self._clock())
        how = "refused" if known.outcome == "refused" else "done"
        self._progress.say(f"{name}: {how} before (execution {known.id}), skipped")
        if known.outcome == "refused":
            raise GateClosed(known.message)

    def _execute(
        self,
        component: Component[Inputs, Parameters, Output],
        inputs: Inputs,
        parameters: Parameters,
        execution: Execution,
        kept: Path,
    ) -> Output:
        started = self._clock()
        number, destination = self._store.begin(
            execution,
            lambda number: component.destination(self._root, number, parameters),
            started,
        )
        more = (kept,) if component.resumable else ()
        refusal = None
        try:
            with _told_in_one_line(self._root), staged_directory(destination) as staging:
                try:
                    component.execute(inputs, parameters, staging, self._progress, *more)
                except GateClosed as gate:
                    refusal = gate
                ended = self._clock()
                self._store.settle(
                    number,
                    "refused" if refusal else "complete",
                    str(refusal or ""),
                    ArtifactRow(
                        component.output.__name__,
                        self._recorded_path(destination),
                        execution.fingerprint,
                    ),
                    ended,
                )
        except BaseException as error:
            with suppress(RecordError):
                self._store.stop(number, _outcome(error), _message(error), self._clock())
            raise
        self._store.end(number)
        shutil.rmtree(kept, ignore_errors=True)
        how = "refused" if refusal else "done"
        self._progress.say(f"{component.name}: {how} in {ended - started:.1f} s -> {destination}")
        if refusal is not None:
            raise refusal
        return component.output(destination, execution.fingerprint)

    def _bury_the_dead(self) -> None:
        """Record which runs were killed, and remove what they left half-written."""
        for run, process in self._store.running():
            if is_running(process):
                continue
            for destination in self._store.close_run(run, "killed", f"{process} is gone", None):
                aside = f".{glob.escape(destination.name)}.partial-*"
                for left in destination.parent.glob(aside):
                    shutil.rmtree(left, ignore_errors=True)
            self._progress.say(f"run {run} was killed: what it completed is kept")

    def _recorded_path(self, path: Path) -> str:
        root, found = self._root.resolve(), path.resolve()
        text = str(found.relative_to(root) if found.is_relative_to(root) else found)
        # A file name need not be valid text, which the record's columns are.
        return text.encode("utf-8", "backslashreplace").decode()


@contextmanager
def _told_in_one_line(root: Path) -> Iterator[None]:
    """Say of a system error below `root` what to do about it."""
    advice = {
        errno.ENOSPC: "free some space and run again; what was done stays done",
        errno.EDQUOT: "free some space and run again; what was done stays done",
        errno.EFBIG: "allow larger files and run again; what was done stays done",
        errno.EROFS: "name a root that can be written",
        errno.EACCES: "name a root that you may write to",
        errno.EPERM: "name a root that you may write to",
        errno.EEXIST: "name a root that is a folder, or is not there yet",
        errno.ENOTDIR: "name a root that is a folder, or is not there yet",
    }
    try:
        yield
    except OSError as error:
        where = Path(os.fsdecode(error.filename)) if error.filename else root
        # What else cannot be read, such as a song, has an advice of its own.
        if error.errno not in advice or not where.absolute().is_relative_to(root.absolute()):
            raise
        raise RootUnusable(f"{where}: {error.strerror}: {advice[error.errno]}") from error


def _artifacts(inputs: Any) -> dict[str, Artifact | None]:
    return {field.name: getattr(inputs, field.name) for field in fields(inputs)}


def _outcome(error: BaseException) -> str:
    if isinstance(error, GateClosed):
        return "refused"
    return "failed" if isinstance(error, Exception) else "interrupted"


def _message(error: BaseException) -> str:
    """Return what an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
