"""The configuration of a run as a TOML file: read with exact errors, written with comments.

A component is a table in snake or kebab case, and so are the parameters nested in it:
``[example_gen.grid]``. A relative path is relative to the folder of the file. TOML knows no null:
``"none"`` unsets a parameter that is optional.
"""

from __future__ import annotations

import json
import textwrap
import tomllib
import typing
from collections.abc import Iterator, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any

from tunesmith.components.component import Component, ParameterError, ParameterField
from tunesmith.components.networks.network import choose_network
from tunesmith.components.parameter_values import value_from
from tunesmith.pipeline.configuration import (
    ConfigurationError,
    Setting,
    Settings,
    completed,
    component_parameters,
    local_path,
    run_values,
)
from tunesmith.pipeline.configuration_keys import (
    RUN_KEYS,
    known_keys,
    nearest_key,
    parameters_by_key,
    table_name,
)
from tunesmith.pipeline.dag import choose_gates, pipeline_components
from tunesmith.pipeline.history import read_run
from tunesmith.plugins import plugin_path, set_plugin_path

_HEADER = "The configuration of a run: tunesmith run --config FILE runs it."

COMMENT_WIDTH = 98
"""Maximum columns of a comment."""


def read_configuration(path: Path) -> dict[str, Setting]:
    """Return the settings of a configuration file.

    Raises:
        ConfigurationError: the file cannot be read, or see :func:`parse_configuration`.
    """
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not TOML: it is not UTF-8 text") from error
    return parse_configuration(text, str(path), f"file {path}", path.absolute().parent)


def recorded_configuration(root: Path, run: int) -> dict[str, Setting]:
    """Return the recorded configuration of a run in `root`.

    The setting of the root is `root`, which may have been moved since.

    Raises:
        StoreError: there is no metadata store, or no such run.
        ConfigurationError: the run has no recorded configuration.
    """
    recorded = read_run(root, run)
    if not recorded.config:
        raise ConfigurationError(
            f"run {run} ({recorded.command}) has no recorded configuration (runs of release 0.1.0 "
            "and of tunesmith component have none): give the options again"
        )
    found = parse_configuration(recorded.config, f"run {run}", f"run {run}", root)
    return {**found, "root": Setting(root.absolute(), f"run {run}", f"run {run}: root")}


def parse_configuration(text: str, name: str, origin: str, folder: Path) -> dict[str, Setting]:
    """Return the settings in the text of a configuration file.

    Args:
        text: TOML.
        name: of the file, for errors.
        origin: for :class:`Setting`.
        folder: the base of relative paths.

    Raises:
        ConfigurationError: it is not TOML, a key is unknown or set twice, or a value has the
            wrong type; the message names the file and the key.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{name} is not TOML: {error}") from error
    _load_plugins(tables, name, folder)
    found: dict[str, Setting] = {}
    for key, value in _keys(tables, name):
        where = f"{name}: {key}"
        if key in found:
            raise ConfigurationError(f"{where} is set twice")
        found[key] = Setting(_typed(known_keys()[key][0], value, where, folder), origin, where)
    return found


def _load_plugins(tables: Mapping[str, Any], name: str, folder: Path) -> None:
    """Load the plug-ins whose parameters are keys themselves: gates and a network."""
    set_here = {part.replace("-", "_"): value for part, value in tables.items()}
    if "plugin_path" in set_here:
        where = f"{name}: plugin_path"
        folders = _typed(RUN_KEYS["plugin_path"], set_here["plugin_path"], where, folder)
        set_plugin_path([*plugin_path(), *folders])
    if "gates" in set_here:
        choose_gates(_typed(RUN_KEYS["gates"], set_here["gates"], f"{name}: gates", folder))
    trainer = set_here.get("trainer")
    if isinstance(trainer, Mapping) and isinstance(trainer.get("network"), str):
        choose_network(trainer["network"])


def _keys(tables: Mapping[str, Any], name: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of every key; refuse unknown ones."""
    for part, value in tables.items():
        key = prefix + part.replace("-", "_")
        is_table = any(known.startswith(f"{key}.") for known in known_keys())
        if not is_table and key not in known_keys():
            near = nearest_key(key)
            hint = f"did you mean {near}?" if near else "docs/parameters.md lists all keys"
            raise ConfigurationError(f"{name}: unknown key {prefix}{part}: {hint}")
        if is_table and not isinstance(value, Mapping):
            raise ConfigurationError(
                f"{name}: {key} must be a table, [{key}], not {json.dumps(value, default=str)}"
            )
        if is_table:
            yield from _keys(value, name, f"{key}.")
        else:
            yield key, value


def _typed(field: ParameterField, value: Any, where: str, folder: Path) -> Any:
    """Return a TOML value, converted to the type of its parameter."""
    try:
        found = value_from(field.type, value, where, reads_text=False)
    except ParameterError as error:
        raise ConfigurationError(str(error)) from error
    if isinstance(found, tuple):
        return tuple(
            local_path(where, each, folder) if isinstance(each, Path) else each for each in found
        )
    return local_path(where, found, folder) if isinstance(found, Path) else found


def configuration_text(settings: Settings) -> str:
    """Return the effective configuration as TOML with comments.

    Comments give the meaning of a key, its allowed values and its origin.
    :func:`parse_configuration` reads the same configuration from the text.

    Raises:
        ConfigurationError: a value is not allowed.
    """
    settings = completed(settings)
    lines = [f"# {_HEADER}"]
    for key, value in run_values(settings).items():
        lines += _entry(key, RUN_KEYS[key], value, settings)
    for component in pipeline_components():
        for table, entries in _tables(component, settings).items():
            lines += ["", f"[{table}]"]
            for key, field, value in entries:
                lines += _entry(key, field, value, settings)
    return "\n".join(lines) + "\n"


def _tables(
    component: Component[Any, Any, Any], settings: Settings
) -> dict[str, list[tuple[str, ParameterField, Any]]]:
    """Return (key, field, value) of each parameter that applies, by table."""
    parameters = component_parameters(component, settings)
    found: dict[str, list[tuple[str, ParameterField, Any]]] = {table_name(component.name): []}
    for key, fields in parameters_by_key(component.name).items():
        for field in fields:
            if field.when is None or attrgetter(field.when[0])(parameters) == field.when[1]:
                value = attrgetter(field.name)(parameters)
                found.setdefault(key.rpartition(".")[0], []).append((key, field, value))
    return found


def _entry(key: str, field: ParameterField, value: Any, settings: Settings) -> Iterator[str]:
    """Yield the lines of a key: a comment, and its value with the origin."""
    yield ""
    yield from textwrap.wrap(
        about(field),
        COMMENT_WIDTH,
        initial_indent="# ",
        subsequent_indent="# ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    name = key.rpartition(".")[2]
    origin = settings[key].origin if key in settings else "default"
    written = _toml(value)
    if value is None and key in RUN_KEYS:
        yield f"# {name} is not set"
    elif written is None:
        yield f"# {name} cannot be written as TOML: set it by {field.declared.option}"
    else:
        yield f"{name} = {written}  # {_printable(origin)}"


def about(field: ParameterField) -> str:
    """Return the help of a parameter, with its choices, unit and bounds."""
    declared = field.declared
    unset = "none = unset" if _may_be_unset(field.type) else ""
    notes = "; ".join(
        filter(None, (declared.choices_text(), declared.unit, declared.range(), unset))
    )
    return f"{declared.help} [{notes}]" if notes else declared.help


def _may_be_unset(hint: Any) -> bool:
    return type(None) in typing.get_args(hint)


def _toml(value: Any) -> str | None:
    """Return a value as TOML; None if TOML cannot express it."""
    if isinstance(value, tuple):
        items = [_toml(each) for each in value]
        return None if None in items else f"[{', '.join(map(str, items))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    text = "none" if value is None else str(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        # A file name may have bytes that are not text.
        return None
    # JSON escapes as TOML does, except for one character.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)
