"""The keys of a configuration: those of a run as a whole, and one for each parameter.

A key is ``midi_dir``, ``root`` and so on, or a parameter behind its component's name in snake case:
``trainer.schedule.shape``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tunesmith.components.component import Declaration, ParameterField, parameter_fields
from tunesmith.pipeline.dag import BY_NAME, COMPONENTS
from tunesmith.pipeline.recipes import recipe_names


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
            "parent",
            Path,
            None,
            Declaration(
                "Version of a model to tune (MODEL/VERSION), or its base path for the newest; "
                "without it the songs alone are learned from.",
                option="--model",
            ),
        ),
        _run_key(
            "beam_options",
            tuple[str, ...],
            (),
            Declaration("Options for Beam, which gets them untouched."),
        ),
        _run_key(
            "recipe",
            str,
            "tunesmith",
            Declaration(
                "Values that parameters have unless they are given: tunesmith = their defaults, "
                "paper = the paper's program, tune = those of tunesmith tune.",
                choices=recipe_names,
                option="--recipe",
            ),
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
