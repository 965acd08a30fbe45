"""The keys of a configuration: those of the run as a whole, and one for each parameter.

A key is ``midi_dir``, ``root`` and so on, or a component's name in snake case and a parameter:
``trainer.schedule.shape``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tunesmith.components.component import Component, Declaration, ParameterField, parameter_fields
from tunesmith.components.networks.network import chosen_networks
from tunesmith.pipeline.dag import components_by_name, pipeline_components
from tunesmith.pipeline.recipes import recipe_names


def _component_names() -> tuple[str, ...]:
    return tuple(components_by_name())


def _run_key(name: str, kind: Any, default: Any, declared: Declaration) -> ParameterField:
    return ParameterField((name,), kind, default, declared)


RUN_KEYS: Mapping[str, ParameterField] = {
    field.name: field
    for field in (
        _run_key(
            "midi_dir",
            Path,
            None,
            Declaration(
                "Folder of MIDI files (searched recursively), or an archive of them; --source "
                "says what else it can be.",
                option="--midi-dir",
            ),
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
            "parent",
            Path,
            None,
            Declaration(
                "Parent model to fine-tune: a version (MODEL/VERSION), or a base path for its "
                "newest version. Without it a new model is trained.",
                option="--model",
            ),
        ),
        _run_key(
            "plugin_path",
            tuple[Path, ...],
            (),
            Declaration(
                "Folder to search for plug-ins, after the installed packages.",
                option="--plugin-path",
            ),
        ),
        _run_key(
            "gates",
            tuple[str, ...],
            (),
            Declaration(
                "Gate to execute before Pusher: the name of an installed plug-in, or "
                "module:object.",
                option="--gate",
            ),
        ),
        _run_key(
            "beam_options",
            tuple[str, ...],
            (),
            Declaration("Options passed to Beam."),
        ),
        _run_key(
            "recipe",
            str,
            "tunesmith",
            Declaration(
                "Set of default values: tunesmith = the defaults of the parameters, paper = the "
                "paper's program, tune = fine-tuning (tunesmith tune).",
                choices=recipe_names,
                option="--recipe",
            ),
        ),
        _run_key(
            "from",
            str,
            None,
            Declaration(
                "First component of the run; it reads the newest artifacts of the components "
                "before it.",
                choices=_component_names,
                option="--from",
            ),
        ),
        _run_key(
            "until",
            str,
            None,
            Declaration("Last component of the run.", choices=_component_names, option="--until"),
        ),
        _run_key(
            "rerun",
            tuple[str, ...],
            (),
            Declaration(
                "Component to execute even if an equal execution is recorded.",
                choices=_component_names,
                option="--rerun",
            ),
        ),
    )
}
"""The keys of the run as a whole."""


def table_name(component: str) -> str:
    """Return a component's name in snake case: ``example_gen``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", component).lower()


def option_name(component: str, field: ParameterField) -> str:
    """Return the command-line option of a parameter.

    Args:
        component: the component's name.
        field: its parameter.
    """
    kebab = f"{table_name(component)}-{field.path[-1]}".replace("_", "-")
    return field.declared.option or f"--{kebab}"


def parameters_by_key(component: str) -> Mapping[str, tuple[ParameterField, ...]]:
    """Return the parameters of a component by their key, in the order of their declaration.

    A key has several fields if the value of another parameter decides which of them applies, as the
    network decides about the sizes; the field of the default network comes first.
    """
    return _parameters_by_key(components_by_name()[component], chosen_networks())


@cache
def _parameters_by_key(
    component: Component[Any, Any, Any], _networks: tuple[str, ...]
) -> Mapping[str, tuple[ParameterField, ...]]:
    found: dict[str, tuple[ParameterField, ...]] = {}
    defaults: dict[str, Any] = {}
    for field in parameter_fields(component.parameters):
        key = f"{table_name(component.name)}.{field.name}"
        defaults[field.name] = field.default
        is_default = field.when is not None and defaults[field.when[0]] == field.when[1]
        others = found.get(key, ())
        found[key] = (field, *others) if is_default else (*others, field)
    return found


def known_keys() -> Mapping[str, tuple[ParameterField, ...]]:
    """Return the fields of every key, those of the run first."""
    return _known_keys(pipeline_components(), chosen_networks())


@cache
def _known_keys(
    components: tuple[Component[Any, Any, Any], ...], _networks: tuple[str, ...]
) -> Mapping[str, tuple[ParameterField, ...]]:
    found: dict[str, tuple[ParameterField, ...]] = {
        key: (field,) for key, field in RUN_KEYS.items()
    }
    for component in components:
        found |= parameters_by_key(component.name)
    return found


def nearest_key(key: str) -> str:
    """Return the known key that is most similar to `key`; empty if none is similar.

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
