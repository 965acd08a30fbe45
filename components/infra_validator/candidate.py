"""Serves a candidate model with a serving engine, and sends it requests.

The engine runs in a process of its own, ``tunesmith serve``, as in production; its ready file has
the address. The process ends with the run, even if the run is killed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tunesmith.client.connection import Connection, ModelVersion
from tunesmith.client.errors import ComposerError, ServerError
from tunesmith.client.tensors import to_tensor
from tunesmith.components.errors import ComponentError
from tunesmith.components.infra_validator.checks import Answer, Arrays, Candidate, Signature

MODEL_NAME = "tunesmith"
"""Name under which the candidate is served."""

ALSO_RUNS = (
    "tunesmith.components.infra_validator.supervised",
    "tunesmith.cli.main",
    "tunesmith.cli.serve",
)
"""The programs that serve the candidate. They count as code of the components that import this
module, see :mod:`tunesmith.pipeline.code_version`."""

START_SECONDS = 300.0
"""Maximum time for an engine to import its libraries, load the model and warm it up."""

ANSWER_SECONDS = 60.0
"""Deadline of one request; far above any latency bound."""

_POLL_SECONDS = 0.05
_KEPT_LINES = 40
_LAST_LINES = 3
_STOPPED = (0, 128 + 15)
"""Exit codes after SIGTERM: after a clean shutdown, or by the signal, as of TensorFlow Serving."""


class EngineFailed(ComponentError):
    """The engine did not start or stop; the message has the last lines of its log."""


ServerFactory = Callable[[Path], AbstractContextManager[Candidate]]
"""Serves a base path, ``<base>/1/saved_model.pb``, until the block ends.

Raises EngineFailed at the beginning or end of the block.
"""


def serve_candidate(
    engine: str = "embedded", start_seconds: float = START_SECONDS
) -> ServerFactory:
    """Return what serves a base path with `engine`, one of those of ``tunesmith serve``."""
    return partial(_serve, engine, start_seconds)


@contextmanager
def _serve(engine: str, start_seconds: float, base: Path) -> Iterator[ServedCandidate]:
    process = _EngineProcess(engine, base)
    try:
        ready = process.wait_until_ready(start_seconds)
        # Without retries: an unavailable server is a failed check.
        with closing(Connection(ready.address, ANSWER_SECONDS, patience=0)) as connection:
            yield ServedCandidate(ready.engine, ready.model, connection, process)
    except BaseException:
        process.end()
        raise
    code = process.end()
    if code not in _STOPPED:
        raise EngineFailed(f"the engine ended with code {code}: {process.log_tail()}")


@dataclass(frozen=True)
class _Ready:
    """Content of the ready file of ``tunesmith serve``; see docs/serving.md."""

    engine: str
    address: str
    model: str
    pid: int


def engine_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the engine, without options of ``tunesmith serve``."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith("TUNESMITH_SERVE_")
    }


class _EngineProcess:
    """A supervised ``tunesmith serve``, with the last lines of its standard error."""

    def __init__(self, engine: str, base: Path) -> None:
        self._engine = engine
        self._folder = tempfile.TemporaryDirectory(prefix="tunesmith-serve-")
        self._ready = Path(self._folder.name, "ready.json")
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        serve = [sys.executable, "-m", "tunesmith.cli.main", "serve"]
        options = [
            f"--model-dir={base}",
            f"--model-name={MODEL_NAME}",
            f"--engine={engine}",
            "--port=0",
            f"--ready-file={self._ready}",
        ]
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tunesmith.components.infra_validator.supervised",
                *serve,
                *options,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # Ctrl-C must reach only the run, which then ends the engine.
            start_new_session=True,
            env=engine_environment(os.environ),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for raw in self._process.stderr:
            line = raw.decode("utf-8", "replace").strip()
            if line:
                self._lines.append(line)

    def wait_until_ready(self, seconds: float) -> _Ready:
        """Wait for the ready file and return its content.

        Raises:
            EngineFailed: the process ended, or the time is over.
        """
        until = time.monotonic() + seconds
        while self._process.poll() is None and time.monotonic() < until:
            if self._ready.exists():
                return _Ready(**json.loads(self._ready.read_text("utf-8")))
            time.sleep(_POLL_SECONDS)
        code = self._process.poll()
        self.end()
        what = f"did not answer in {seconds:g} s" if code is None else f"ended with code {code}"
        raise EngineFailed(f"the engine {self._engine} {what}: {self.log_tail()}")

    def log_tail(self) -> str:
        """Return the error that the process printed, or else its last lines, in one line."""
        lines = list(self._lines)
        errors = [line for line in lines if line.startswith("tunesmith: error: ")]
        return " | ".join(errors[-1:] or lines[-_LAST_LINES:]) or "it printed nothing"

    def end(self) -> int:
        """End the process and return its exit code."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        code = self._process.wait()
        self._reader.join(5)
        self._folder.cleanup()
        return code


@dataclass(frozen=True)
class ServedCandidate:
    """See :class:`tunesmith.components.infra_validator.checks.Candidate`."""

    engine: str
    model: str
    connection: Connection
    process: _EngineProcess

    def signatures(self) -> Mapping[str, Signature]:
        """Return the shapes in the server's metadata."""
        try:
            _, found = self.connection.signatures(ModelVersion(self.model))
        except ComposerError:
            return {}
        return {
            name: Signature(_shapes(signature.inputs), _shapes(signature.outputs))
            for name, signature in found.items()
            if not name.startswith("__")
        }

    def ask(self, signature: str, inputs: Arrays) -> Answer:
        """Send one request."""
        tensors = {name: to_tensor(values) for name, values in inputs.items()}
        try:
            outputs = self.connection.predict(ModelVersion(self.model), signature, tensors)
        except ServerError as error:
            return Answer(error.status, error.details)
        except ComposerError as error:
            return Answer(type(error).__name__, str(error))
        return Answer("OK", outputs=outputs)

    def log_tail(self) -> str:
        """Return the last lines that the engine printed."""
        return self.process.log_tail()


def _shapes(tensors: Any) -> dict[str, tuple[int, ...]]:
    return {
        name: tuple(dim.size for dim in each.tensor_shape.dim) for name, each in tensors.items()
    }
