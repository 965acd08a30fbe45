"""The declaration of a component: its inputs, parameters, output and executor in one value.

The runner, the command line, the cache key, ``docs/parameters.md`` and every deployment are derived
from it. Importing this module, or the ``component.py`` of a component, imports neither numpy,
TensorFlow nor Beam: the executor is named by a string and imported when it runs.
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
    """A value that a parameter does not accept.

    Args:
        name: of the parameter, dotted where it is nested, such as ``schedule.warmup_steps``.
        problem: the rest of the message: ``must be at least 1, not 0``.
    """

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name} {problem}")
        self.name = name
        self.problem = problem


@dataclass(frozen=True)
class Declaration:
    """The declaration of a parameter; see :func:`parameter`."""

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
        """Return the allowed values, without plug-ins; empty if any value is allowed."""
        return self.choices() if callable(self.choices) else self.choices

    def choices_text(self) -> str:
        """Return the choices in words, such as ``one of a, b, or module:object``; or nothing."""
        known = ", ".join(self.known())
        return f"one of {known}{', or module:object' if self.plugins else ''}" if known else ""

    def problem(self, value: object) -> str | None:
        """Return why `value` is not accepted, to follow its name; None if it is accepted."""
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
        default: its default value.
        help: one sentence for ``--help`` and the documentation.
        least: lower bound, inclusive. All bounds apply to each item of a tuple.
        above: lower bound, exclusive.
        most: upper bound, inclusive.
        below: upper bound, exclusive.
        choices: the allowed values, or a function that returns them.
        plugins: kind of plug-ins that are allowed besides the choices, by the name of an entry
            point or as ``module:object``, such as ``engines``; empty for none.
        unit: of the value, such as ``seconds``.
        option: its option on the command line; derived from component and name if empty.
        affects_result: whether the artifact depends on the value. If not, it is not part of the
            fingerprint, and changing it executes nothing again.
    """
    declared = Declaration(
        help, least, above, most, below, choices, plugins, unit, option, affects_result
    )
    return dataclasses.field(default=default, metadata={_KEY: declared})


def dependent(name: str, kinds: Callable[[], Mapping[str, type[ParameterSet]]]) -> Any:
    """Declare nested parameters whose parameter set depends on another parameter.

    Args:
        name: the other parameter, declared before this one.
        kinds: returns the parameter set for each value of the other parameter.
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
        """Check conditions on several parameters; to be overridden.

        Raises:
            ParameterError: a condition is not met.
        """


@dataclass(frozen=True)
class ParameterField:
    """A parameter of a component, nested ones flattened.

    Args:
        path: the field names from the component's parameters down to it.
        type: its annotation.
        default: its default.
        declared: its declaration.
        when: (dotted name, value): the parameter exists only if that other parameter has that
            value; None if it always exists.
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
    """Return every parameter that `kind` declares, with nested ones, in order."""
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
    """Return the parameter set in the field `name` of `kind`; None if the field is a value.

    Args:
        kind: a parameter set.
        name: one of its fields.
        values: of the other fields; fields without an entry have their defaults.

    Raises:
        ParameterError: the parameter that the set depends on has an unknown value.
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
    """Return the parameters that affect the result, as nested dictionaries."""
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
    """Declare an input that decides whether an execution may run, not its result.

    For example the blessings that Pusher requires: a new blessing of a published model does not
    publish it again.
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
        name: of the field, followed by the artifact's type if the field takes several artifacts.
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
    """The environment of one execution; it is not part of the fingerprint.

    Args:
        output: an empty folder for the artifact, made visible when the executor has returned.
        pipeline_root: folder of the metadata store and of all artifacts.
        progress: where progress is shown.
        beam_options: passed to Beam.
        checkpoints: folder for the checkpoints of a resumable component; None for others.
    """

    output: Path
    pipeline_root: Path
    progress: Progress
    beam_options: tuple[str, ...] = ()
    checkpoints: Path | None = None


@dataclass(frozen=True)
class Component(Generic[Inputs, Parameters, Output]):
    """A component, as the runner and the command line know it.

    Args:
        name: TFX's name for it.
        inputs: a frozen dataclass of artifacts; an optional one is ``X | None``.
        parameters: a frozen dataclass of :func:`parameter` fields.
        output: type of its artifact.
        executor: ``module:function``, a function of (inputs, parameters, context).
        extra: the extra of the distribution that it needs.
        resumable: the executor writes checkpoints and resumes from them.
        retry_refusals: a refusal depends on more than the inputs, such as the machine's speed: the
            next run executes the gate again. Otherwise an equal execution is refused at once.
        modules: modules that the parameters select, such as the network's; they count as its code.
        model_dir: for a component that publishes: returns the base path, from root and parameters,
            in which its artifact becomes the next version. None for other components.
        afterwards: ``module:function`` of (artifact, parameters, progress) that is called when the
            artifact exists, from this execution or a cached one; empty for none.
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
        """Call :attr:`afterwards` on the artifact."""
        if self.afterwards:
            _imported(self.afterwards)(artifact, parameters, progress)


def _imported(name: str) -> Callable[..., None]:
    module, _, function = name.partition(":")
    return cast("Callable[..., None]", getattr(importlib.import_module(module), function))
