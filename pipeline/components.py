"""The components by name: what each takes, what it is told, and how the runner knows it.

An entry is a function, so that the names are known without importing what the components need.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunesmith.pipeline.runner import Component


@dataclass(frozen=True)
class Setting:
    """Where a component works; it changes nothing in what it makes.

    Args:
        root: the pipeline's.
        beam_options: handed to Beam untouched.
    """

    root: Path
    beam_options: tuple[str, ...] = ()


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
    from tunesmith.components.song_files import ExampleGenParameters
    from tunesmith.pipeline import dag
    from tunesmith.pipeline.sources import ListedMidiFolder

    def build(setting: Setting, inputs: dag._FromMidi) -> Component[Any, Any, Any]:
        assert isinstance(inputs.midi, ListedMidiFolder)
        return dag._example_gen(setting.beam_options, inputs.midi.midi_files())

    return Registered(dag._FromMidi, ExampleGenParameters, build)


def _transform() -> Registered:
    from tunesmith.components.encoding import TransformParameters
    from tunesmith.pipeline import dag

    return Registered(
        dag._FromSequences,
        TransformParameters,
        lambda setting, _: dag._transform(setting.beam_options),
    )


def _trainer() -> Registered:
    from tunesmith.components.encoding import TransformParameters
    from tunesmith.components.song_files import ExampleGenParameters
    from tunesmith.components.trainer import TrainerParameters
    from tunesmith.pipeline import dag

    def build(setting: Setting, _: Any) -> Component[Any, Any, Any]:
        # Of all these, the component looks at the root and the upkeep.
        parameters = (ExampleGenParameters(), TransformParameters(), TrainerParameters())
        return dag._trainer(dag.PipelineConfig(Path(), setting.root, *parameters))

    return Registered(dag._FromExamples, TrainerParameters, build)


def _pusher() -> Registered:
    from tunesmith.pipeline import dag

    return Registered(dag._FromModel, dag.PusherParameters, lambda *_: dag._PUSHER)


COMPONENTS: dict[str, Callable[[], Registered]] = {
    "ExampleGen": _example_gen,
    "Transform": _transform,
    "Trainer": _trainer,
    "Pusher": _pusher,
}
"""Every component, in the order of the pipeline."""
