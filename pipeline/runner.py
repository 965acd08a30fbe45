"""The runner: executes a component once for the same inputs, parameters and code.

What it executes it records; what it finds recorded, and still there, it skips. An artifact becomes
visible only when it is complete, so that a killed run, started again, goes on where it was.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Concatenate, Generic, TypeVar

from tunesmith.components.artifacts import Artifact, MidiFolder
from tunesmith.components.progress import Progress
from tunesmith.components.publishing import staged_directory
from tunesmith.pipeline.store import ExecutionStore

Inputs = TypeVar("Inputs")
Parameters = TypeVar("Parameters")
Output = TypeVar("Output", bound=Artifact)

CHECKPOINTS = "checkpoints"
"""Folder of the root in which a resumable execution keeps what it goes on from."""


@dataclass(frozen=True)
class Component(Generic[Inputs, Parameters, Output]):
    """A component as the runner knows it.

    Args:
        name: TFX's name for it.
        output: the artifact type that it leaves.
        execute: writes the artifact into an empty folder.
        code: the modules and packages whose source is the component's version.
        destination: where its artifact goes, from the pipeline's root and the execution's id.
        resumable: `execute` takes a folder more, in which it may keep what it needs to go on after
            a kill or a failure. An equal execution finds the folder again; it is removed when one
            is complete.
    """

    name: str
    output: type[Output]
    execute: Callable[Concatenate[Inputs, Parameters, Path, Progress, ...], None]
    code: tuple[str, ...]
    destination: Callable[[Path, int, Parameters], Path]
    resumable: bool = False


class Runner:
    """Executes components below one root folder.

    Args:
        root: the folder that holds the record and every artifact; made if it is not there.
        progress: where it says what it does.
        clock: seconds since the epoch.
    """

    def __init__(
        self, root: Path, progress: Progress, clock: Callable[[], float] = time.time
    ) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._root = root
        self._progress = progress
        self._clock = clock
        self._store = ExecutionStore(root)

    def run(
        self,
        component: Component[Inputs, Parameters, Output],
        inputs: Inputs,
        parameters: Parameters,
    ) -> Output:
        """Return the component's artifact, from this execution or from an earlier equal one."""
        code = source_digest(component.code)
        input_text = json.dumps(_describe_inputs(inputs))
        parameter_text = json.dumps(asdict(parameters), sort_keys=True)  # type: ignore[call-overload]
        digests = [artifact.digest for _, artifact in _artifacts(inputs)]
        fingerprint = _digest([component.name, code, parameter_text, *digests])
        kept = self._root / CHECKPOINTS / fingerprint
        known = self._store.find_complete(fingerprint)
        if known is not None and (self._root / known[1]).is_dir():
            # The run that completed it may have been killed before it could clear up.
            shutil.rmtree(kept, ignore_errors=True)
            self._progress.say(f"{component.name}: done before (execution {known[0]}), skipped")
            return component.output(self._root / known[1], fingerprint)
        execution = self._store.begin(
            component.name, fingerprint, input_text, parameter_text, code, self._clock()
        )
        destination = component.destination(self._root, execution, parameters)
        relative = os.path.relpath(destination, self._root)
        more = (kept,) if component.resumable else ()
        started = self._clock()
        try:
            with staged_directory(destination) as staging:
                component.execute(inputs, parameters, staging, self._progress, *more)
        except BaseException:
            self._store.end(execution, "failed", relative, self._clock())
            raise
        ended = self._clock()
        self._store.end(execution, "complete", relative, ended)
        shutil.rmtree(kept, ignore_errors=True)
        self._progress.say(f"{component.name}: done in {ended - started:.1f} s -> {destination}")
        return component.output(destination, fingerprint)


def midi_folder(path: Path, files: Iterable[tuple[bytes, bytes]]) -> MidiFolder:
    """Return the user's folder as an artifact, its digest taken over names and contents.

    Args:
        path: the folder.
        files: (song_id, path) of its MIDI files, as file-system bytes, sorted.
    """
    digest = hashlib.blake2b(digest_size=16)
    for song_id, file in files:
        try:
            content = Path(os.fsdecode(file)).read_bytes()
        except OSError as error:
            # An unreadable file is a finding of ExampleGen; here it only has to be told apart.
            content = f"unreadable: {error.errno}".encode()
        digest.update(len(song_id).to_bytes(8, "big") + song_id)
        digest.update(hashlib.blake2b(content).digest())
    return MidiFolder(path, digest.hexdigest())


def source_digest(modules: Iterable[str]) -> str:
    """Return a digest of the source of `modules`; a package stands for every module in it."""
    sources = []
    for module in modules:
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(module)
        origin = Path(spec.origin)
        files = origin.parent.glob("*.py") if spec.submodule_search_locations else [origin]
        sources += [(module, file.name, file.read_text("utf-8")) for file in files]
    return _digest([part for source in sorted(sources) for part in source])


def _artifacts(inputs: Any) -> list[tuple[str, Artifact]]:
    return [(field.name, getattr(inputs, field.name)) for field in fields(inputs)]


def _describe_inputs(inputs: Any) -> dict[str, dict[str, str]]:
    return {
        name: {"path": str(artifact.path), "digest": artifact.digest}
        for name, artifact in _artifacts(inputs)
    }


def _digest(parts: Iterable[str]) -> str:
    return hashlib.blake2b(json.dumps(list(parts)).encode(), digest_size=16).hexdigest()
