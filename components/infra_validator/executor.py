"""InfraValidator's executor: starts the serving engine with the candidate and sends it requests.

Every problem is a failed check in ``infra.json``, and so is an engine that does not start.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict

import numpy as np

from tunesmith.components.artifacts import SPLITS, Check, Examples, InfraBlessing
from tunesmith.components.component import Context
from tunesmith.components.infra_validator.candidate import (
    EngineFailed,
    ServerFactory,
    serve_candidate,
)
from tunesmith.components.infra_validator.checks import Bounds, RequestData, run_checks
from tunesmith.components.infra_validator.component import (
    InfraValidatorInputs,
    InfraValidatorParameters,
)
from tunesmith.components.records.tfrecord import read_songs

SONGS = 64
"""Maximum number of held-out songs for the requests."""


def execute(
    inputs: InfraValidatorInputs, parameters: InfraValidatorParameters, context: Context
) -> None:
    """Write an :class:`InfraBlessing`; see :func:`validate`."""
    validate(inputs, parameters, context, serve_candidate(parameters.engine))


def validate(
    inputs: InfraValidatorInputs,
    parameters: InfraValidatorParameters,
    context: Context,
    server: ServerFactory,
) -> None:
    """Write ``infra.json`` of an InfraBlessing artifact into the output folder.

    It has ``blessed``, the ``engine`` that served the model (``auto`` only if none started), the
    ``model_digest``, every check in order, the last lines of the engine's ``log`` if a check
    failed, and the parameters. The engine serves a copy of the model in the output folder.

    Args:
        inputs: the candidate, and the songs for the requests.
        parameters: the bounds.
        context: the output folder.
        server: starts the engine.

    Raises:
        ComponentError: the Examples are damaged.
        OSError: a file cannot be read or written.
    """
    request_data = _request_data(inputs.examples)
    bounds = Bounds.of(parameters)
    checks: list[Check] = []
    engine, log = parameters.engine, ""
    base = context.output / "serving"
    shutil.copytree(inputs.model.saved_model, base / "1")
    title = "serving the candidate and sending it requests"
    try:
        with context.progress.task(title) as task, server(base) as candidate:
            engine = candidate.engine
            checks.append(Check("starts", True, f"{engine} serves the model"))
            for check in run_checks(candidate, request_data, bounds):
                checks.append(check)
                task.update(len(checks), check.name)
            log = candidate.log_tail()
        checks.append(Check("stops", True, f"{engine} stopped"))
    except EngineFailed as error:
        checks.append(Check("stops" if checks else "starts", False, str(error)))
    finally:
        shutil.rmtree(base)
    failed = [check for check in checks if not check.passed]
    report = {
        "blessed": not failed,
        "engine": engine,
        "model_digest": inputs.model.digest,
        "checks": [asdict(check) for check in checks],
        **({"log": log} if failed else {}),
        "parameters": asdict(parameters),
    }
    (context.output / InfraBlessing.FILE).write_text(json.dumps(report, indent=2), "utf-8")
    for check in failed:
        context.progress.say(f"failed {check.name}: {check.why}")


def _request_data(examples: Examples) -> RequestData:
    """Return held-out songs, or training songs if there are none."""
    vocabulary = examples.vocabulary()
    for split in reversed(SPLITS):
        songs = []
        for song in read_songs(examples.shards(split)):
            if len(song.tokens):
                songs.append(song.tokens)
            if len(songs) == SONGS:
                break
        if songs:
            return RequestData(songs, vocabulary)
    return RequestData([np.array(vocabulary.rests, np.int32)], vocabulary)
