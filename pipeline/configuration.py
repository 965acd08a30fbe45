"""The configuration of a run: every key that can be set, what each was set to, and by what.

A key is ``midi_dir``, ``root`` and so on, or a parameter of a component behind the component's name
in snake case: ``trainer.schedule.shape``. Keys are set on the command line, in the environment and
in a file; what none of them sets keeps the default of its declaration. This module knows neither
the command line nor a file format.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tunesmith.components.component import (
    Component,
    Declaration,
    ParameterError,
    ParameterField,
    parameter_fields,
)
from tunesmith.components.errors import ComponentError
from tunesmith.components.parameter_values import parameters_from
from tunesmith.pipeline.dag import BY_NAME, COMPONENTS, PipelineConfig


class ConfigurationError(ComponentError):
    """A configuration that cannot be used; the message names what was set, as it was set."""


@dataclass(frozen=True)
class Setting:
    """What a key was set to.

    Args:
        value: the value, or text that says the same.
        origin: what set it, for a comment beside it: ``option --epochs``.
        name: how an error calls it: ``--epochs``, or ``pipeline.toml: trainer.epochs``.
    """

    value: Any
    origin: str
    name: str


Settings = Mapping[str, Setting]
"""What was set, by key."""


def _component_names() -> tuple[str, ...]:
    return tuple(BY_NAME)


def _run_key(name: str, kind: Any, default: Any, declared: Declaration) -> ParameterField:
    return ParameterField((name,), kind, default, declared)


RUN_KEYS: Mapping[str, ParameterField] = {
    field.name: field
    for field in (
        _run_key(
            "midi_dir",
            Path,
            None,
            Declaration("Folder of MIDI files (searched recursively).", option="--midi-dir"),
        ),
        _run_key(
            "root",
            Path,
            None,
            Declaration(
                "Folder of the metadata store, the artifacts and the models.", option="--root"
            ),
        ),
        _run_key(
            "beam_options",
            tuple[str, ...],
            (),
            Declaration("Options for Beam, which gets them untouched."),
        ),
        _run_key(
            "from",
            str,
            None,
            Declaration(
                "Component to begin with; the newest artifacts of those before it are taken as "
                "they are.",
                choices=_component_names,
                option="--from",
            ),
        ),
        _run_key(
            "until",
            str,
            None,
            Declaration("Component to end with.", choices=_component_names, option="--until"),
        ),
        _run_key(
            "rerun",
            tuple[str, ...],
            (),
            Declaration(
                "Component to execute even where an equal execution is recorded.",
                choices=_component_names,
                option="--rerun",
            ),
        ),
    )
}
"""What is set of a run as a whole."""


def table_name(component: str) -> str:
    """Return a component's name in snake case: ``example_gen``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", component).lower()


def option_name(component: str, field: ParameterField) -> str:
    """Return the option that sets a parameter on the command line.

    Args:
        component: the component's name.
        field: its parameter.
    """
    kebab = f"{table_name(component)}-{field.path[-1]}".replace("_", "-")
    return field.declared.option or f"--{kebab}"


@cache
def parameters_by_key(component: str) -> Mapping[str, tuple[ParameterField, ...]]:
    """Return the parameters of a component by their key, in the order of their declaration.

    A key stands for several where the value of another parameter decides which of them exists, as
    the network decides about the sizes; that of the default network comes first.
    """
    found: dict[str, tuple[ParameterField, ...]] = {}
    defaults: dict[str, Any] = {}
    for field in parameter_fields(BY_NAME[component].parameters):
        key = f"{table_name(component)}.{field.name}"
        defaults[field.name] = field.default
        is_default = field.when is not None and defaults[field.when[0]] == field.when[1]
        others = found.get(key, ())
        found[key] = (field, *others) if is_default else (*others, field)
    return found


@cache
def known_keys() -> Mapping[str, tuple[ParameterField, ...]]:
    """Return every key, those of a run first, and what is declared of it."""
    found: dict[str, tuple[ParameterField, ...]] = {
        key: (field,) for key, field in RUN_KEYS.items()
    }
    for component in COMPONENTS:
        found |= parameters_by_key(component.name)
    return found


def merged(lower: Settings, upper: Settings) -> dict[str, Setting]:
    """Return both, `upper` before `lower`.

    Where `upper` chooses another network than `lower`, the sizes that `lower` sets are those of the
    other network, and are left out.
    """
    kept = dict(lower)
    for decides, table in _dependent_tables().items():
        if decides in upper:
            (field,) = known_keys()[decides]
            before = lower[decides].value if decides in lower else field.default
            if upper[decides].value != before:
                kept = {key: each for key, each in kept.items() if not key.startswith(table)}
    return {**kept, **upper}


@cache
def _dependent_tables() -> Mapping[str, str]:
    """Return the table of the parameters that depend on a key, by that key."""
    found = {}
    for key, fields in known_keys().items():
        for field in fields:
            if field.when is not None:
                component = key.partition(".")[0]
                found[f"{component}.{field.when[0]}"] = key.rpartition(".")[0] + "."
    return found


def component_parameters(component: Component[Any, Any, Any], settings: Settings) -> Any:
    """Return the parameters of a component.

    Args:
        component: the component.
        settings: what was set, of other components, too.

    Raises:
        ConfigurationError: a value is not allowed, or belongs to another network than is chosen.
    """
    own = {key: settings[key] for key in parameters_by_key(component.name) if key in settings}
    _refuse_foreign(component.name, own)
    values: dict[str, Any] = {}
    for key, setting in own.items():
        _, *folders, name = key.split(".")
        level = values
        for folder in folders:
            level = level.setdefault(folder, {})
        level[name] = setting.value
    try:
        return parameters_from(component.parameters, values)
    except ParameterError as error:
        key = f"{table_name(component.name)}.{error.name}"
        raise ConfigurationError(f"{_name(component.name, key, own)} {error.problem}") from error


def _name(component: str, key: str, settings: Settings) -> str:
    """Return how `key` was set, or could be set."""
    if key in settings:
        return settings[key].name
    fields = parameters_by_key(component).get(key)
    return option_name(component, fields[0]) if fields else key


def _refuse_foreign(component: str, settings: Settings) -> None:
    """Refuse a size that the chosen network does not have."""
    declared = parameters_by_key(component)
    for key, setting in settings.items():
        conditions = [field.when for field in declared[key] if field.when is not None]
        if len(conditions) < len(declared[key]):
            continue
        decides = f"{table_name(component)}.{conditions[0][0]}"
        (field,) = declared[decides]
        chosen = settings[decides].value if decides in settings else field.default
        owners = [value for _, value in conditions]
        # A value that is none at all is refused by its own declaration.
        if chosen not in owners and field.declared.problem(chosen) is None:
            raise ConfigurationError(
                f"{setting.name} is a parameter of the {field.name} {' and '.join(owners)}, not of "
                f"{chosen}"
            )


def pipeline_config(settings: Settings) -> PipelineConfig:
    """Return the configuration that `settings` make.

    Raises:
        ConfigurationError: the root is missing; the MIDI folder is, and the run begins with it; or
            a value is not allowed.
    """
    values = run_values(settings)
    first = values["from"]
    for key, is_needed in (("midi_dir", first in (None, COMPONENTS[0].name)), ("root", True)):
        if is_needed and values[key] is None:
            raise ConfigurationError(f"Missing option '{RUN_KEYS[key].declared.option}'.")
    return PipelineConfig(
        values["midi_dir"],
        values["root"],
        {each.name: component_parameters(each, settings) for each in COMPONENTS},
        values["beam_options"],
        first,
        values["until"],
        frozenset(values["rerun"]),
    )


def run_values(settings: Settings) -> dict[str, Any]:
    """Return the value of every key of :data:`RUN_KEYS`; None for one that is missing.

    Raises:
        ConfigurationError: a value is not allowed.
    """
    values = {key: _run_value(key, settings) for key in RUN_KEYS}
    first, last = values["from"], values["until"]
    names = list(BY_NAME)
    if first and last and names.index(last) < names.index(first):
        raise ConfigurationError(
            f"{_run_name('until', settings)} {last} ends the run before "
            f"{_run_name('from', settings)} {first} begins it"
        )
    return values


def _run_value(key: str, settings: Settings) -> Any:
    field = RUN_KEYS[key]
    value = settings[key].value if key in settings else field.default
    problem = field.declared.problem(value)
    if problem:
        raise ConfigurationError(f"{_run_name(key, settings)} {problem}")
    if key == "beam_options" and value and not value[0].startswith("-"):
        raise ConfigurationError(
            f"unexpected argument {value[0]!r}: Beam's options follow a --"
            if settings[key].name == "--"
            else f"{settings[key].name} begins with {value[0]!r}, which is no option of Beam"
        )
    return value


def _run_name(key: str, settings: Settings) -> str:
    return settings[key].name if key in settings else RUN_KEYS[key].declared.option


def local_path(name: str, path: Path, folder: Path) -> Path:
    """Return `path` as an absolute one: workers of Beam may have another working directory.

    Args:
        name: how an error calls it.
        path: as it was given.
        folder: what a relative one is relative to.

    Raises:
        ConfigurationError: it looks like an address.
    """
    if re.match(r"[A-Za-z0-9+.-]{2,}:/", str(path)):
        raise ConfigurationError(
            f"{name} {path} is an address: give a folder, such as where the bucket is mounted"
        )
    return (folder / path).absolute()


def nearest_key(key: str) -> str:
    """Return the known key that `key` may have been meant for; empty if none is near.

    Args:
        key: dotted; its last part may also be an option's name in snake case, such as ``fps``.
    """
    import difflib

    component, _, _ = key.partition(".")
    leaf = key.rpartition(".")[2]
    by_leaf = [
        candidate
        for candidate, fields in known_keys().items()
        if leaf in (fields[0].path[-1], fields[0].declared.option[2:].replace("-", "_"))
    ]
    own = [candidate for candidate in by_leaf if candidate.startswith(f"{component}.")]
    tables = {candidate.rpartition(".")[0] for candidate in known_keys()} - {""}
    near = difflib.get_close_matches(key, [*known_keys(), *sorted(tables)], 1)
    return next(iter((*own, *near, *by_leaf)), "")
