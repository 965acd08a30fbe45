"""The pipeline: its components, and the artifacts that each reads from the others.

The edges follow from the types: a component reads the newest artifact of each type among its
inputs. A new component is one line of :data:`COMPONENTS`.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from tunesmith.components.artifacts import Artifact, Blessing, PushedModel, TrainedModel
from tunesmith.components.component import Component, condition_names
from tunesmith.components.evaluator.component import EVALUATOR
from tunesmith.components.example_gen.component import EXAMPLE_GEN
from tunesmith.components.example_validator.component import EXAMPLE_VALIDATOR
from tunesmith.components.infra_validator.component import INFRA_VALIDATOR
from tunesmith.components.pusher.component import PUSHER
from tunesmith.components.statistics_gen.component import STATISTICS_GEN
from tunesmith.components.trainer.component import TRAINER
from tunesmith.components.transform.component import TRANSFORM
from tunesmith.plugins import PluginError, load_plugin

COMPONENTS: tuple[Component[Any, Any, Any], ...] = (
    EXAMPLE_GEN,
    TRANSFORM,
    STATISTICS_GEN,
    EXAMPLE_VALIDATOR,
    TRAINER,
    EVALUATOR,
    INFRA_VALIDATOR,
    PUSHER,
)
"""Every component, in the order of execution."""

BY_NAME: Mapping[str, Component[Any, Any, Any]] = {each.name: each for each in COMPONENTS}

_gates: dict[str, Component[Any, Any, Any]] = {}
"""The gates that :func:`choose_gates` has loaded, by the name of the plug-in."""


def choose_gates(names: Iterable[str]) -> None:
    """Put gates before Pusher, in this order, so that their parameters are options and keys.

    A gate is a plug-in of the kind ``gates``: a :class:`Component` whose output is a
    :class:`~tunesmith.components.artifacts.Blessing`. Pusher takes every blessing of a run, and
    publishes a model only if all of them are positive. Gates that were chosen before stay.

    Raises:
        PluginError: one cannot be loaded, is not a gate, or has the name of another component.
    """
    for name in names:
        if name in _gates:
            continue
        gate = load_plugin("gates", name)
        if not isinstance(gate, Component) or not issubclass(gate.output, Blessing):
            raise PluginError(
                f"{name} is not a gate: it must be a Component whose output derives from Blessing"
            )
        if gate.name in components_by_name():
            raise PluginError(f"{name} is called {gate.name}, as another component: rename it")
        _gates[name] = gate


def pipeline_components() -> tuple[Component[Any, Any, Any], ...]:
    """Return every component in the order of execution, the chosen gates before Pusher."""
    return (*COMPONENTS[:-1], *_gates.values(), COMPONENTS[-1])


def components_by_name() -> Mapping[str, Component[Any, Any, Any]]:
    """Return :func:`pipeline_components` by their names."""
    return {each.name: each for each in pipeline_components()}


Made = TypeVar("Made", bound=Artifact)


@dataclass(frozen=True)
class InputField:
    """A field of a component's inputs.

    Args:
        name: the field's.
        type: the artifact's type.
        needed: whether the input is required.
        several: whether it takes any number of artifacts.
        is_condition: see :func:`tunesmith.components.component.condition`.
    """

    name: str
    type: type[Artifact]
    needed: bool
    several: bool
    is_condition: bool


def input_fields(kind: type[Any]) -> list[InputField]:
    """Return the fields of an inputs dataclass."""
    found = []
    conditions = condition_names(kind)
    for name, hint in typing.get_type_hints(kind).items():
        arguments = typing.get_args(hint)
        is_condition = name in conditions
        if isinstance(hint, types.UnionType):
            (artifact,) = (each for each in arguments if each is not type(None))
            found.append(InputField(name, artifact, False, False, is_condition))
        elif typing.get_origin(hint) is tuple:
            found.append(InputField(name, arguments[0], False, True, is_condition))
        else:
            found.append(InputField(name, hint, True, False, is_condition))
    return found


def connect(component: Component[Any, Any, Any], made: Iterable[Artifact]) -> Any:
    """Return the inputs of `component`, chosen from the artifacts before it.

    Args:
        component: the component.
        made: the artifacts of this run, in order.

    Raises:
        LookupError: a required artifact is missing.
    """
    artifacts = list(made)
    values: dict[str, Any] = {}
    for each in input_fields(component.inputs):
        fitting = [artifact for artifact in artifacts if isinstance(artifact, each.type)]
        if each.several:
            values[each.name] = tuple(fitting)
        elif fitting:
            values[each.name] = fitting[-1]
        elif each.needed:
            raise LookupError(f"{component.name} needs {each.type.__name__}")
    return component.inputs(**values)


def producers(
    component: Component[Any, Any, Any], components: tuple[Component[Any, Any, Any], ...]
) -> list[Component[Any, Any, Any]]:
    """Return the components whose artifacts determine the artifact of `component`.

    Args:
        component: one of `components`.
        components: a pipeline, in the order of execution.
    """
    wanted = [each.type for each in input_fields(component.inputs) if not each.is_condition]
    before = components[: components.index(component)]
    return [each for each in before if any(issubclass(each.output, kind) for kind in wanted)]


@dataclass(frozen=True)
class PipelineConfig:
    """The configuration of a run.

    Args:
        midi_dir: the folder of MIDI files.
        root: the folder of the metadata store, the artifacts and the models.
        parameters: by component name; components without an entry have their defaults.
        beam_options: passed to Beam. They say where a job runs, not what it computes, so they are
            not part of a fingerprint.
        first: first component of the run, which reads the newest artifacts of those before it; None
            for the first of the pipeline.
        last: last component of the run; None for the last of the pipeline.
        rerun: components to execute even if an equal execution is recorded.
        parent: folder of the model to fine-tune; None to train a new model.
        components: the pipeline, in the order of execution.
    """

    midi_dir: Path
    root: Path
    parameters: Mapping[str, Any] = field(default_factory=dict)
    beam_options: tuple[str, ...] = ()
    first: str | None = None
    last: str | None = None
    rerun: frozenset[str] = frozenset()
    parent: Path | None = None
    components: tuple[Component[Any, Any, Any], ...] = field(default_factory=pipeline_components)

    def steps(self) -> tuple[Component[Any, Any, Any], ...]:
        """Return the components of the run, from `first` to `last`."""
        names = [each.name for each in self.components]
        begin = names.index(self.first) if self.first else 0
        end = names.index(self.last) if self.last else len(names) - 1
        return self.components[begin : end + 1]

    def before(self) -> tuple[Component[Any, Any, Any], ...]:
        """Return the components before `first`."""
        names = [each.name for each in self.components]
        return self.components[: names.index(self.first)] if self.first else ()

    def parameters_of(self, component: Component[Any, Any, Any]) -> Any:
        """Return the parameters of a component."""
        found = self.parameters.get(component.name)
        return component.parameters() if found is None else found

    def model_dir(self) -> Path:
        """Return the base path of the published model."""
        assert PUSHER.model_dir is not None
        return PUSHER.model_dir(self.root, self.parameters_of(PUSHER))


@dataclass
class PipelineResult:
    """The artifacts of a run, by component name."""

    artifacts: dict[str, Artifact] = field(default_factory=dict)

    def of(self, component: Component[Any, Any, Made]) -> Made:
        """Return the artifact of a component.

        Raises:
            KeyError: the run ended before that component.
        """
        return cast("Made", self.artifacts[component.name])

    @property
    def pushed(self) -> PushedModel | None:
        """The published version; None if the run ended before Pusher."""
        found = self.artifacts.get(PUSHER.name)
        return found if isinstance(found, PushedModel) else None


def served_model(config: PipelineConfig, made: Iterable[Artifact]) -> PushedModel | None:
    """Return the served version, which the candidate among `made` is compared with."""
    from tunesmith.components.pusher.versions import served_before

    models = [each for each in made if isinstance(each, TrainedModel)]
    if not models:
        return None
    served = served_before(config.model_dir(), models[-1].digest)
    if served is None:
        return None
    return PushedModel(served, PushedModel(served, "").content_digest())
