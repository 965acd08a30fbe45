"""The components by name: what each takes, what it is told, and how the runner knows it.

An entry is a function, so that the names are known without importing what the components need.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunesmith.components.trainer.executor import Upkeep
    from tunesmith.pipeline.runner import Component


@dataclass(frozen=True)
class Setting:
    """Where a component works; it changes nothing in what it makes.

    Args:
        root: the pipeline's.
        beam_options: handed to Beam untouched.
        upkeep: what training leaves beside its result; None for the defaults.
    """

    root: Path
    beam_options: tuple[str, ...] = ()
    upkeep: Upkeep | None = None


@dataclass(frozen=True)
class Registered:
    """A component that can be run by itself.

    Args:
        inputs: a dataclass of artifacts; one that may be left out has ``None`` in its type.
        parameters: a dataclass.
        build: makes the component for a setting and its inputs.
    """

    inputs: type[Any]
    parameters: type[Any]
    build: Callable[[Setting, Any], Component[Any, Any, Any]]


def _example_gen() -> Registered:
    from tunesmith.components.example_gen.song_files import ExampleGenParameters
    from tunesmith.pipeline import steps
    from tunesmith.pipeline.sources import ListedMidiFolder

    def build(setting: Setting, inputs: steps.FromMidi) -> Component[Any, Any, Any]:
        assert isinstance(inputs.midi, ListedMidiFolder)
        return steps.example_gen(setting.beam_options, inputs.midi.midi_files())

    return Registered(steps.FromMidi, ExampleGenParameters, build)


def _transform() -> Registered:
    from tunesmith.components.transform.song_tokens import TransformParameters
    from tunesmith.pipeline import steps

    return Registered(
        steps.FromSequences,
        TransformParameters,
        lambda setting, _: steps.transform(setting.beam_options),
    )


def _statistics_gen() -> Registered:
    from tunesmith.components.statistics_gen.executor import StatisticsGenParameters
    from tunesmith.pipeline import steps

    return Registered(steps.FromRecords, StatisticsGenParameters, lambda *_: steps.STATISTICS_GEN)


def _example_validator() -> Registered:
    from tunesmith.components.example_validator.executor import ExampleValidatorParameters
    from tunesmith.pipeline import steps

    return Registered(
        steps.FromStatistics, ExampleValidatorParameters, lambda *_: steps.EXAMPLE_VALIDATOR
    )


def _trainer() -> Registered:
    from tunesmith.components.trainer.executor import TrainerParameters, Upkeep
    from tunesmith.pipeline import steps

    return Registered(
        steps.FromExamples,
        TrainerParameters,
        lambda setting, _: steps.trainer(setting.upkeep or Upkeep(), setting.root),
    )


def _evaluator() -> Registered:
    from tunesmith.components.evaluator.executor import EvaluatorParameters
    from tunesmith.pipeline import steps

    return Registered(steps.ToEvaluate, EvaluatorParameters, lambda *_: steps.EVALUATOR)


def _infra_validator() -> Registered:
    from tunesmith.components.infra_validator.executor import InfraValidatorParameters
    from tunesmith.pipeline import steps

    return Registered(steps.ToServe, InfraValidatorParameters, lambda *_: steps.INFRA_VALIDATOR)


def _pusher() -> Registered:
    from tunesmith.pipeline import steps

    return Registered(steps.ToPush, steps.PusherParameters, lambda *_: steps.PUSHER)


COMPONENTS: dict[str, Callable[[], Registered]] = {
    "ExampleGen": _example_gen,
    "Transform": _transform,
    "StatisticsGen": _statistics_gen,
    "ExampleValidator": _example_validator,
    "Trainer": _trainer,
    "Evaluator": _evaluator,
    "InfraValidator": _infra_validator,
    "Pusher": _pusher,
}
"""Every component, in the order of the pipeline."""
