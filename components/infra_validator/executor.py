"""InfraValidator: has the engine that will serve load the candidate, asks it, and shuts it down.

What starts the engine, and what speaks to it, is handed in: components know neither the servers nor
their clients (the arrows of the package point the other way), and a check is a check whichever
engine answers. A finding is a line of ``infra.json``, an engine that does not start included.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.components.artifacts import SPLITS, Examples, TrainedModel
from tunesmith.components.errors import ComponentError
from tunesmith.components.infra_validator.checks import Bounds, Candidate, Check, Material, examine
from tunesmith.components.progress import Progress
from tunesmith.components.records.tfrecord import read_songs

INFRA_FILE = "infra.json"

SONGS = 64
"""Held-out songs that windows are taken from, at most."""


class EngineFailed(ComponentError):
    """The engine did not start, or did not end when asked; the message has its last words."""


Host = Callable[[Path], AbstractContextManager[Candidate]]
"""Serves the base path it is given, ``<base>/1/saved_model.pb``, until the block ends.

Raises EngineFailed when it is entered or left.
"""


@dataclass(frozen=True)
class InfraValidatorParameters:
    """What InfraValidator is told.

    The bounds are for a frame that plays 200 ms: one song is composed faster than it is heard, even
    where another program has the processor for a moment, and 64 songs at a time in a tenth of the
    time that all of them play.

    Args:
        engine: which engine serves; ``embedded``, ``tensorflow-serving``, ``docker`` or ``auto``.
        requests: of one window, to take the time of.
        batch: windows of a large request.
        batch_requests: large requests to take the time of.
        median_ms: an answer to one window may take, in the middle.
        p95_ms: an answer to one window may take, in 95 of 100.
        batch_median_ms: an answer to a large request may take, in the middle.
    """

    engine: str = "embedded"
    requests: int = 50
    batch: int = 64
    batch_requests: int = 10
    median_ms: float = 200.0
    p95_ms: float = 1000.0
    batch_median_ms: float = 1280.0

    def __post_init__(self) -> None:
        if self.engine not in ("auto", "embedded", "tensorflow-serving", "docker"):
            raise ValueError(
                f"an engine is auto, embedded, tensorflow-serving or docker, not {self.engine!r}"
            )
        if min(self.requests, self.batch_requests) < 1 or self.batch < 3:
            raise ValueError("at least one request of each kind, and three windows in a batch")

    @property
    def bounds(self) -> Bounds:
        """Those of the time."""
        named = {name: value for name, value in asdict(self).items() if name != "engine"}
        return Bounds(**named)


def validate_infrastructure(
    model: TrainedModel,
    examples: Examples,
    output: Path,
    parameters: InfraValidatorParameters,
    progress: Progress,
    host: Host,
) -> bool:
    """Write ``infra.json`` of an InfraBlessing artifact into the folder `output`.

    ``infra.json`` holds ``blessed``, the ``engine``, every check in its order, the ``log``'s end
    where one failed, and the parameters. The engine gets a copy of the model, in `output` while it
    runs.

    Args:
        model: the candidate.
        examples: what it was trained on; windows come from the songs held out.
        output: an empty folder.
        parameters: bounds, and the engine, which is `host`'s to choose.
        progress: where it is told.
        host: starts the engine.

    Returns:
        Whether every check passed.

    Raises:
        ComponentError: the Examples are damaged.
        OSError: something cannot be read or written.
    """
    material = _material(examples)
    checks: list[Check] = []
    engine, log = parameters.engine, ""
    base = output / "serving"
    shutil.copytree(model.saved_model, base / "1")
    try:
        with progress.task("serving the candidate and asking it") as task, host(base) as candidate:
            engine = candidate.engine
            checks.append(Check("starts", True, f"{engine} serves it"))
            for check in examine(candidate, material, parameters.bounds):
                checks.append(check)
                task.update(len(checks), check.name)
            log = candidate.last_words()
        checks.append(Check("stops", True, "when it was asked to"))
    except EngineFailed as error:
        checks.append(Check("stops" if checks else "starts", False, str(error)))
    finally:
        shutil.rmtree(base)
    failed = [check for check in checks if not check.passed]
    report = {
        "blessed": not failed,
        "engine": engine,
        "checks": [asdict(check) for check in checks],
        **({"log": log} if failed else {}),
        "parameters": asdict(parameters),
    }
    (output / INFRA_FILE).write_text(json.dumps(report, indent=2), "utf-8")
    for check in failed:
        progress.say(f"failed {check.name}: {check.detail}")
    return not failed


def failing_sentence(infra: dict[str, Any]) -> str:
    """Return one line on why a model is not blessed, from the content of ``infra.json``.

    It is what a closed gate says.
    """
    failed = [f"{each['name']}: {each['detail']}" for each in infra["checks"] if not each["passed"]]
    return f"{infra['engine']} does not serve the model as it must: {'; '.join(failed)}"


def _material(examples: Examples) -> Material:
    """Take songs held out; training songs where none are."""
    for split in reversed(SPLITS):
        songs = []
        for song in read_songs(examples.shards(split)):
            if len(song.tokens):
                songs.append(song.tokens)
            if len(songs) == SONGS:
                break
        if songs:
            return Material(songs, examples.vocabulary())
    return Material([np.zeros(1, np.int32)], examples.vocabulary())
