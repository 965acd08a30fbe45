"""InfraValidator: serves the candidate with the real engine and asks it."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.components.artifacts import Examples, InfraBlessing, TrainedModel
from tunesmith.components.component import Component, ParameterSet, parameter

ENGINES = ("embedded", "auto", "tensorflow-serving", "docker")
"""The engines of ``tunesmith serve``; a test compares them."""


@dataclass(frozen=True)
class InfraValidatorInputs:
    """The candidate, and the songs that requests are made of."""

    model: TrainedModel
    examples: Examples


@dataclass(frozen=True)
class InfraValidatorParameters(ParameterSet):
    """Which engine serves the candidate, and how long it may take.

    The time limits are for a frame that plays 200 ms: one song is composed faster than it sounds,
    even where another program has the processor for a moment, and 64 songs at a time in a tenth of
    the time that all of them play.
    """

    engine: str = parameter(
        "embedded",
        "Serving engine used to validate the model before it is pushed.",
        choices=ENGINES,
        option="--engine",
    )
    requests: int = parameter(50, "Timed requests of one window.", least=1)
    batch: int = parameter(64, "Windows in a large request.", least=3)
    batch_requests: int = parameter(10, "Timed large requests.", least=1)
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
        1280.0, "Maximum median latency of a large request.", least=0, unit="ms"
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
    )
)
