"""The options that say what stops a run: anomalies, the evaluation, the engine, the push."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tunesmith.cli.options import Command, add_options

if TYPE_CHECKING:
    from tunesmith.components.evaluator.executor import EvaluatorParameters
    from tunesmith.components.example_validator.executor import ExampleValidatorParameters
    from tunesmith.components.infra_validator.executor import InfraValidatorParameters
    from tunesmith.pipeline.steps import PusherParameters

_OPTIONS = (
    click.option(
        "--allow",
        multiple=True,
        metavar="ANOMALY",
        help="An anomaly of the songs that is no reason to stop, by its name; may be repeated.",
    ),
    click.option(
        "--beat",
        default="unigram,repeat,5-gram",
        show_default=True,
        metavar="BASELINES",
        help="Baselines that a model must beat on the songs held out, or none.",
    ),
    click.option(
        "--baseline-margin",
        type=float,
        default=0.02,
        show_default=True,
        help="By so many nats a frame.",
    ),
    click.option(
        "--previous-margin",
        type=float,
        default=0.05,
        show_default=True,
        help="Nats a frame by which it may be worse than the last blessed model.",
    ),
    click.option(
        "--engine",
        type=click.Choice(["embedded", "auto", "tensorflow-serving", "docker"]),
        default="embedded",
        show_default=True,
        help="What a model is tried on before it is pushed.",
    ),
    click.option(
        "--latency-ms",
        type=float,
        default=200.0,
        show_default=True,
        help="Median time that an answer to one window may take there.",
    ),
    click.option(
        "--model-name", default="tunesmith", show_default=True, help="Name to push under."
    ),
    click.option(
        "--keep",
        type=int,
        default=5,
        show_default=True,
        help="Versions that stay, at least 2; 0 for all.",
    ),
)


def gate_options(command: Command) -> Command:
    """Add the options of the gates."""
    return add_options(command, _OPTIONS)


def validator_parameters(options: dict[str, Any]) -> ExampleValidatorParameters:
    """Return what stops a run before training."""
    from tunesmith.components.example_validator.executor import ExampleValidatorParameters

    return ExampleValidatorParameters(allow=tuple(options["allow"]))


def evaluator_parameters(options: dict[str, Any]) -> EvaluatorParameters:
    """Return what a model must do to be blessed."""
    from tunesmith.components.evaluator.blessing import BlessingParameters
    from tunesmith.components.evaluator.executor import EvaluatorParameters

    named = [name.strip() for name in options["beat"].split(",") if name.strip()]
    beat = () if named == ["none"] else tuple(named)
    return EvaluatorParameters(
        BlessingParameters(beat, options["baseline_margin"], options["previous_margin"])
    )


def infra_parameters(options: dict[str, Any]) -> InfraValidatorParameters:
    """Return what the engine must do with the model."""
    from tunesmith.components.infra_validator.executor import InfraValidatorParameters

    return InfraValidatorParameters(engine=options["engine"], median_ms=options["latency_ms"])


def pusher_parameters(options: dict[str, Any]) -> PusherParameters:
    """Return where the model goes."""
    from tunesmith.pipeline.steps import PusherParameters

    return PusherParameters(options["model_name"], options["keep"])
