"""What a component is: one value that says what goes in, what comes out and what runs.

The runner, the command line, the cache key, ``docs/parameters.md`` and every deployment follow from
it. Importing this module, or the ``component.py`` of a component, imports neither numpy, TensorFlow
nor Beam: the executor is named by a string and imported when it runs.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from tunesmith.components.artifacts import Artifact
from tunesmith.components.progress import Progress
from tunesmith.plugins import PluginError, find_plugin, is_reference, plugin_names

Inputs = TypeVar("Inputs")
Parameters = TypeVar("Parameters")
Output = TypeVar("Output", bound=Artifact)

_KEY = "tunesmith.parameter"
_CONDITION = "tunesmith.condition"


class ParameterError(ValueError):
    """A parameter has a value that it cannot have.

    Args:
        name: the parameter, dotted where it is nested, such as ``schedule.warmup_steps``.
        problem: what is wrong, to stand behind the name: ``must be at least 1, not 0``.
    """

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name} {problem}")
        self.name = name
        self.problem = problem


@dataclass(frozen=True)
class Declaration:
    """All that is said of a parameter, once; see :func:`parameter`."""

    help: str
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    choices: Callable[[], tuple[str, ...]] | tuple[str, ...] = ()
    plugins: str = ""
    unit: str = ""
    option: str = ""
    affects_result: bool = True

    def known(self) -> tuple[str, ...]:
        """Return the values that may be chosen, without plug-ins; none where any may."""
        return self.choices() if callable(self.choices) else self.choices

    def choices_text(self) -> str:
        """Return the choices in words, such as ``one of a, b, or module:object``; or nothing."""
        known = ", ".join(self.known())
        return f"one of {known}{', or module:object' if self.plugins else ''}" if known else ""

    def problem(self, value: object) -> str | None:
        """Return what is wrong with `value`, to stand behind its name; None if nothing is."""
        if value is None:
            return None
        values = value if isinstance(value, tuple) else (value,)
        known = self.known()
        for each in values:
            if known and each not in known:
                problem = self._plugin_problem(each)
                if problem is not None:
                    return problem
            if isinstance(each, int | float) and not isinstance(each, bool):
                bound = self._missed(each)
                if bound:
                    return f"must be {bound}, not {each}"
        return None

    def _plugin_problem(self, value: object) -> str | None:
        """Return why a value that is not one of the choices is not a plug-in either."""
        is_name = (
            self.plugins
            and isinstance(value, str)
            and (is_reference(value) or value in plugin_names(self.plugins))
        )
        if not is_name:
            return f"must be {self.choices_text()}, not {value!r}"
        try:
            find_plugin(self.plugins, str(value))
        except PluginError as error:
            return f"cannot be {value}: {error}"
        return None

    def _missed(self, value: float) -> str:
        if math.isnan(value):
            return "a number"
        if self.least is not None and value < self.least:
            return f"at least {self.least:g}"
        if self.above is not None and value <= self.above:
            return f"above {self.above:g}"
        if self.most is not None and value > self.most:
            return f"at most {self.most:g}"
        if self.below is not None and value >= self.below:
            return f"below {self.below:g}"
        return ""

    def range(self) -> str:
        """Return the bounds in words, such as ``at least 1``; empty without any."""
        bounds = (
            ("at least", self.least),
            ("above", self.above),
            ("at most", self.most),
            ("below", self.below),
        )
        return ", ".join(
            f"{word} {bound:g}"
            for word, bound in bounds
            if bound is not None and not math.isinf(bound)
        )


def parameter(
    default: Any,
    help: str,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    choices: Callable[[], tuple[str, ...]] | tuple[str, ...] = (),
    plugins: str = "",
    unit: str = "",
    option: str = "",
    affects_result: bool = True,
) -> Any:
    """Declare a parameter: a field of a frozen dataclass that extends :class:`ParameterSet`.

    Args:
        default: its value unless another is given.
        help: one sentence for ``--help`` and the documentation.
        least: the smallest value allowed; so the other bounds, exclusive where the name says so.
            Of a tuple they hold for each item.
        above: see `least`.
        most: see `least`.
        below: see `least`.
        choices: the values allowed, or a function that returns them.
        plugins: kind of plug-ins that are allowed beside the choices, by the name of an entry point
            or as ``module:object``, such as ``engines``; none if empty.
        unit: of the value, such as ``seconds``.
        option: its option on the command line; derived from component and name where empty.
        affects_result: whether another value can lead to another artifact. One that cannot is no
            part of the fingerprint, so that changing it executes nothing again.
    """
    declared = Declaration(
        help, least, above, most, below, choices, plugins, unit, option, affects_result
    )
    return dataclasses.field(default=default, metadata={_KEY: declared})


def dependent(name: str, kinds: Callable[[], Mapping[str, type[ParameterSet]]]) -> Any:
    """Declare nested parameters whose kind depends on the value of another parameter.

    Args:
        name: the parameter that decides, declared before this one.
        kinds: returns the parameter set for each of its values.
    """
    return dataclasses.field(default=None, metadata={_KEY: _Dependent(name, kinds)})


@dataclass(frozen=True)
class _Dependent:
    name: str
    kinds: Callable[[], Mapping[str, type[ParameterSet]]]


@dataclass(frozen=True)
class ParameterSet:
    """Base of a component's parameters, and of parameters nested in them.

    Raises:
        ParameterError: a value is not allowed.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            declared = field.metadata.get(_KEY)
            if isinstance(declared, _Dependent):
                self._choose(field.name, declared)
            elif declared is not None:
                problem = declared.problem(getattr(self, field.name))
                if problem:
                    raise ParameterError(field.name, problem)
        self.check()

    def _choose(self, name: str, declared: _Dependent) -> None:
        chosen = getattr(self, declared.name)
        kinds = declared.kinds()
        if chosen not in kinds:
            raise ParameterError(
                declared.name, f"must be one of {', '.join(sorted(kinds))}, not {chosen!r}"
            )
        if getattr(self, name) is None:
            object.__setattr__(self, name, kinds[chosen]())
        if not isinstance(getattr(self, name), kinds[chosen]):
            raise ParameterError(
                name, f"must be {kinds[chosen].__name__}, as {declared.name} is {chosen}"
            )

    def check(self) -> None:
        """Check what concerns several parameters together; to be overridden.

        Raises:
            ParameterError: they do not fit together.
        """


@dataclass(frozen=True)
class ParameterField:
    """A parameter of a component, nested ones flattened.

    Args:
        path: the names from the component's parameters down to it.
        type: its type, as annotated.
        default: its default.
        declared: what :func:`parameter` was told.
        when: (dotted name, value): the parameter exists where that one has that value; None where
            it always does.
    """

    path: tuple[str, ...]
    type: Any
    default: Any
    declared: Declaration
    when: tuple[str, str] | None = None

    @property
    def name(self) -> str:
        """The dotted name."""
        return ".".join(self.path)


def parameter_fields(kind: type[Any], prefix: tuple[str, ...] = ()) -> list[ParameterField]:
    """Return every parameter that `kind` declares, nested ones in their place, in order."""
    return list(_fields(kind, prefix, None))


def _fields(kind: type[Any], prefix: tuple[str, ...], when: tuple[str, str] | None) -> Any:
    import typing

    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        declared = field.metadata.get(_KEY)
        path = (*prefix, field.name)
        if isinstance(declared, _Dependent):
            decides = ".".join((*prefix, declared.name))
            for value, nested in declared.kinds().items():
                yield from _fields(nested, path, (decides, value))
        elif declared is not None:
            yield ParameterField(path, hints[field.name], field.default, declared, when)
        elif dataclasses.is_dataclass(hints[field.name]):
            yield from _fields(cast("type[Any]", hints[field.name]), path, when)
        else:
            raise TypeError(f"{kind.__name__}.{field.name} is declared without parameter()")


def nested_kind(kind: type[Any], name: str, values: Mapping[str, Any]) -> type[Any] | None:
    """Return the parameter set nested in the field `name` of `kind`; None if it is a value.

    Args:
        kind: a parameter set.
        name: one of its fields.
        values: what the other fields are given; the defaults count for those left out.

    Raises:
        ParameterError: the parameter that decides has an unknown value.
    """
    import typing

    fields = {field.name: field for field in dataclasses.fields(kind)}
    declared = fields[name].metadata.get(_KEY)
    if isinstance(declared, _Dependent):
        chosen = values.get(declared.name, fields[declared.name].default)
        kinds = declared.kinds()
        if chosen not in kinds:
            raise ParameterError(
                declared.name, f"must be one of {', '.join(sorted(kinds))}, not {chosen!r}"
            )
        return kinds[chosen]
    hint = typing.get_type_hints(kind)[name]
    return cast("type[Any]", hint) if dataclasses.is_dataclass(hint) else None


def result_parameters(parameters: Any) -> dict[str, Any]:
    """Return the parameters that can change the result, as nested dictionaries."""
    found = {}
    for field in dataclasses.fields(parameters):
        value = getattr(parameters, field.name)
        declared = field.metadata.get(_KEY)
        if isinstance(declared, Declaration) and not declared.affects_result:
            continue
        if dataclasses.is_dataclass(value):
            value = result_parameters(value)
        found[field.name] = value
    return found


def condition(default: Any = None) -> Any:
    """Declare an input that decides whether an execution may run, not what it makes.

    Such as the blessings that Pusher requires: other blessings of the same model publish it once.
    """
    return dataclasses.field(default=default, metadata={_CONDITION: True})


def condition_names(kind: type[Any]) -> frozenset[str]:
    """Return the names of the fields of an inputs dataclass that are conditions."""
    return frozenset(
        field.name for field in dataclasses.fields(kind) if field.metadata.get(_CONDITION)
    )


@dataclass(frozen=True)
class NamedInput:
    """One artifact among the inputs of an execution.

    Args:
        name: the field's, with the artifact's type where the field takes several.
        artifact: the artifact.
        is_condition: see :func:`condition`.
    """

    name: str
    artifact: Artifact
    is_condition: bool


def named_inputs(inputs: Any) -> list[NamedInput]:
    """Return the artifacts of an inputs dataclass in the order of its fields."""
    found = []
    for field in dataclasses.fields(inputs):
        value = getattr(inputs, field.name)
        is_condition = bool(field.metadata.get(_CONDITION))
        if isinstance(value, tuple):
            found += [
                NamedInput(f"{field.name}.{type(each).__name__}", each, is_condition)
                for each in value
            ]
        elif value is not None:
            found.append(NamedInput(field.name, value, is_condition))
    return found


@dataclass(frozen=True)
class Context:
    """Where one execution works; nothing of it is part of the fingerprint.

    Args:
        output: an empty folder for the artifact, made visible when the executor has returned.
        pipeline_root: the folder of the metadata store and of all artifacts.
        progress: where it says what it does.
        beam_options: for Beam, untouched.
        checkpoints: a folder for what is needed to go on after a kill; of resumable components.
    """

    output: Path
    pipeline_root: Path
    progress: Progress
    beam_options: tuple[str, ...] = ()
    checkpoints: Path | None = None


@dataclass(frozen=True)
class Component(Generic[Inputs, Parameters, Output]):
    """A component: all that the runner and the command line know of it.

    Args:
        name: TFX's name for it.
        inputs: a frozen dataclass of artifacts; one that may be left out is ``X | None``.
        parameters: a frozen dataclass of :func:`parameter` fields.
        output: the type of the artifact that it leaves.
        executor: ``module:function`` of what runs, a function of (inputs, parameters, context).
        extra: what to install for it, an extra of the distribution.
        resumable: the executor keeps checkpoints in the context's folder and goes on from them.
        retry_refusals: a refusal depends on more than the inputs, such as the machine's speed: the
            next run executes it again. Otherwise an equal execution is refused at once.
        modules: modules that the parameters name, such as the network's; they count as its code.
        model_dir: for a component that publishes: the base path, from root and parameters, in which
            its artifact becomes the next version. None for an artifact of its own folder.
        afterwards: ``module:function`` of (artifact, parameters, progress) that tidies up once the
            artifact is there, from this execution or an earlier equal one; empty for nothing.
    """

    name: str
    inputs: type[Inputs]
    parameters: type[Parameters]
    output: type[Output]
    executor: str
    extra: str = "pipeline"
    resumable: bool = False
    retry_refusals: bool = False
    modules: Callable[[Parameters], tuple[str, ...]] = lambda _: ()
    model_dir: Callable[[Path, Parameters], Path] | None = None
    afterwards: str = ""

    def execute(self, inputs: Inputs, parameters: Parameters, context: Context) -> None:
        """Import the executor and run it."""
        _imported(self.executor)(inputs, parameters, context)

    def tidy_up(self, artifact: Output, parameters: Parameters, progress: Progress) -> None:
        """Do what is to be done once the artifact is there."""
        if self.afterwards:
            _imported(self.afterwards)(artifact, parameters, progress)


def _imported(name: str) -> Callable[..., None]:
    module, _, function = name.partition(":")
    return cast("Callable[..., None]", getattr(importlib.import_module(module), function))
