"""The configuration of a run: the setting of each key, its origin, and the effective value.

Keys (:mod:`tunesmith.pipeline.configuration_keys`) are set on the command line, in the environment
and in a file; other keys have the default of their declaration. This module knows neither the
command line nor a file format.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.components.component import Component, ParameterError
from tunesmith.components.encodings.encoding import encoding_names, load_encoding
from tunesmith.components.errors import ComponentError
from tunesmith.components.parameter_values import parameters_from
from tunesmith.components.transform.component import NONE
from tunesmith.pipeline.configuration_keys import (
    RUN_KEYS,
    known_keys,
    option_name,
    parameters_by_key,
    table_name,
)
from tunesmith.pipeline.dag import PipelineConfig, components_by_name, pipeline_components
from tunesmith.pipeline.recipes import RECIPES


class ConfigurationError(ComponentError):
    """A configuration that cannot be used; the message names the option, variable or key."""


@dataclass(frozen=True)
class Setting:
    """The setting of a key.

    Args:
        value: the value, or its text.
        origin: its source, for a comment beside it: ``option --epochs``.
        name: its name in errors: ``--epochs``, or ``pipeline.toml: trainer.epochs``.
    """

    value: Any
    origin: str
    name: str


Settings = Mapping[str, Setting]
"""Settings by key."""


def merged(lower: Settings, upper: Settings) -> dict[str, Setting]:
    """Return the settings of both; `upper` overrides `lower`.

    If `upper` chooses another network than `lower`, the sizes in `lower` belong to the other
    network and are left out.
    """
    kept = dict(lower)
    for decides, table in _dependent_tables().items():
        if decides in upper:
            (field,) = known_keys()[decides]
            before = lower[decides].value if decides in lower else field.default
            if upper[decides].value != before:
                kept = {key: each for key, each in kept.items() if not key.startswith(table)}
    return {**kept, **upper}


def with_recipe(settings: Settings) -> dict[str, Setting]:
    """Return `settings`, completed by the values of their recipe.

    Raises:
        ConfigurationError: there is no recipe of this name.
    """
    name = _run_value("recipe", settings)
    lower = {
        key: Setting(value, f"recipe {name}", f"--recipe {name}")
        for key, value in RECIPES[name].items()
    }
    return merged(lower, settings)


def _dependent_tables() -> Mapping[str, str]:
    """Return the tables whose parameters depend on the value of a key, by that key."""
    found = {}
    for key, fields in known_keys().items():
        for field in fields:
            if field.when is not None:
                component = key.partition(".")[0]
                found[f"{component}.{field.when[0]}"] = key.rpartition(".")[0] + "."
    return found


def completed(settings: Settings) -> dict[str, Setting]:
    """Return `settings` with the settings of other components that they imply.

    An encoding with onsets implies that ExampleGen keeps onsets; ``transpose = none`` implies that
    the Trainer does not transpose windows either.
    """
    transpose = settings.get("transform.transpose")
    if transpose is not None and transpose.value == NONE:
        keys = Setting("none", transpose.origin, transpose.name)
        settings = {"trainer.regularisation.keys": keys, **settings}
    encoding = settings.get("transform.encoding")
    # The declaration of the parameter refuses an unknown one.
    if encoding is None or encoding.value not in encoding_names():
        return dict(settings)
    if not load_encoding(encoding.value).needs_onsets:
        return dict(settings)
    onsets = Setting(True, encoding.origin, encoding.name)
    return {**settings, "example_gen.grid.keep_onsets": onsets}


def component_parameters(component: Component[Any, Any, Any], settings: Settings) -> Any:
    """Return the parameters of a component.

    Args:
        component: the component.
        settings: of all components.

    Raises:
        ConfigurationError: a value is not allowed, or a size belongs to another network.
    """
    settings = completed(settings)
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
    """Return the name of `key` in errors: as it was set, or its option."""
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
        # The declaration of the parameter refuses an unknown network.
        if chosen not in owners and field.declared.problem(chosen) is None:
            raise ConfigurationError(
                f"{setting.name} is a parameter of the {field.name} {' and '.join(owners)}, not of "
                f"{chosen}"
            )


def pipeline_config(settings: Settings) -> PipelineConfig:
    """Return the configuration of a run.

    Raises:
        ConfigurationError: the root is missing, or the MIDI folder of a run that begins with
            ExampleGen, or a value is not allowed.
    """
    values = run_values(settings)
    first, components = values["from"], pipeline_components()
    for key, is_needed in (("midi_dir", first in (None, components[0].name)), ("root", True)):
        if is_needed and values[key] is None:
            raise ConfigurationError(f"Missing option '{RUN_KEYS[key].declared.option}'.")
    return PipelineConfig(
        values["midi_dir"],
        values["root"],
        {each.name: component_parameters(each, settings) for each in components},
        values["beam_options"],
        first,
        values["until"],
        frozenset(values["rerun"]),
        values["parent"],
        components,
    )


def run_values(settings: Settings) -> dict[str, Any]:
    """Return the value of every key of :data:`RUN_KEYS`; None for a key without one.

    Raises:
        ConfigurationError: a value is not allowed.
    """
    values = {key: _run_value(key, settings) for key in RUN_KEYS}
    first, last = values["from"], values["until"]
    names = list(components_by_name())
    if first and last and names.index(last) < names.index(first):
        raise ConfigurationError(
            f"{_run_name('until', settings)} {last} comes before "
            f"{_run_name('from', settings)} {first} in the pipeline: exchange them"
        )
    return values


def _run_value(key: str, settings: Settings) -> Any:
    field = RUN_KEYS[key]
    value = settings[key].value if key in settings else field.default
    problem = field.declared.problem(value)
    if problem:
        raise ConfigurationError(f"{_run_name(key, settings)} {problem}")
    if key == "beam_options" and value and not value[0].startswith("-"):
        name = settings[key].name
        raise ConfigurationError(
            f"unexpected argument {value[0]!r}: options for Beam must follow --"
            if name == "--"
            else f"{name} must begin with an option such as --runner, not {value[0]!r}"
        )
    return value


def _run_name(key: str, settings: Settings) -> str:
    return settings[key].name if key in settings else RUN_KEYS[key].declared.option


def local_path(name: str, path: Path, folder: Path) -> Path:
    """Return the absolute path: Beam workers may have another working directory.

    Args:
        name: of the setting, for errors.
        path: the path, absolute or relative to `folder`.
        folder: see `path`.

    Raises:
        ConfigurationError: the path is a URL.
    """
    if re.match(r"[A-Za-z0-9+.-]{2,}:/", str(path)):
        raise ConfigurationError(
            f"{name} must be a local folder, not the URL {path}: give the mount point of the bucket"
        )
    return (folder / path).absolute()
