"""InfraValidator: serves the candidate with a serving engine and sends it requests."""

from __future__ import annotations

import importlib.util
import pkgutil
from dataclasses import dataclass
from pathlib import Path

from tunesmith.components.artifacts import Examples, InfraBlessing, TrainedModel
from tunesmith.components.component import Component, ParameterSet, parameter
from tunesmith.plugins import find_plugin

_ENGINES = "tunesmith.serving.engines"


def engine_names() -> tuple[str, ...]:
    """Return ``auto`` and the names of the built-in engines of ``tunesmith serve``.

    They are those of the files, as a declaration must not import gRPC.
    """
    package = importlib.util.find_spec("tunesmith.serving")
    locations = package.submodule_search_locations if package is not None else None
    folders = [str(Path(each, "engines")) for each in locations or ()]
    modules = {each.name for each in pkgutil.iter_modules(folders)} - {"engine"}
    return ("auto", *sorted(each.replace("_", "-") for each in modules))


def engine_modules(engine: str) -> tuple[str, ...]:
    """Return the modules that define an engine; of ``auto`` those of all built-in engines.

    Raises:
        PluginError: there is no such plug-in.
    """
    known = engine_names()
    if engine not in known:
        return (find_plugin("engines", engine).module,)
    names = known[1:] if engine == "auto" else (engine,)
    return tuple(f"{_ENGINES}.{each.replace('-', '_')}" for each in names)


@dataclass(frozen=True)
class InfraValidatorInputs:
    """The candidate, and the songs for the requests."""

    model: TrainedModel
    examples: Examples


@dataclass(frozen=True)
class InfraValidatorParameters(ParameterSet):
    """The serving engine, the number of requests, and the bounds on latency.

    The bounds are for frames of 200 ms: one song is composed faster than it plays, even if another
    program uses the processor for a moment, and 64 songs in a tenth of their playing time.
    """

    engine: str = parameter(
        "embedded",
        "Serving engine used to validate the model before it is pushed.",
        choices=engine_names,
        plugins="engines",
        option="--engine",
    )
    requests: int = parameter(50, "Number of timed single-window requests.", least=1)
    batch: int = parameter(64, "Number of windows in a batch request.", least=3)
    batch_requests: int = parameter(10, "Number of timed batch requests.", least=1)
    median_ms: float = parameter(
        200.0,
        "Maximum median latency of a single-window request.",
        least=0,
        unit="ms",
        option="--latency-ms",
    )
    p95_ms: float = parameter(
        1000.0,
        "Maximum 95th percentile of the latency of a single-window request.",
        least=0,
        unit="ms",
    )
    batch_median_ms: float = parameter(
        1280.0, "Maximum median latency of a batch request.", least=0, unit="ms"
    )


INFRA_VALIDATOR: Component[InfraValidatorInputs, InfraValidatorParameters, InfraBlessing] = (
    Component(
        "InfraValidator",
        InfraValidatorInputs,
        InfraValidatorParameters,
        InfraBlessing,
        "tunesmith.components.infra_validator.executor:execute",
        # The machine may have been busy.
        retry_refusals=True,
        modules=lambda parameters: engine_modules(parameters.engine),
    )
)
