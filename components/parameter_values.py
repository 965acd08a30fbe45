"""Values of parameters from text, a configuration file or the metadata store."""

from __future__ import annotations

import dataclasses
import json
import re
import types
import typing
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from tunesmith.components.component import ParameterError, nested_kind

Parameters = TypeVar("Parameters")

_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def parameters_from(
    kind: type[Parameters], values: Mapping[str, Any], prefix: str = ""
) -> Parameters:
    """Return the parameter set `kind` with these values, and defaults for the others.

    Args:
        kind: a parameter set.
        values: by name: values of JSON or TOML, or text.
        prefix: of the names in errors.

    Raises:
        ParameterError: a name is unknown, a value has the wrong type, or `kind` refuses it.
    """
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for name in values:
        if name not in names:
            raise unknown_parameter(prefix + name, [prefix + each for each in names])
    found: dict[str, Any] = {}
    try:
        # In the order of the fields: a nested kind may depend on a parameter before it.
        for name in names:
            if name in values:
                nested_in = nested_kind(kind, name, found)
                hint = hints[name] if nested_in is None else nested_in
                found[name] = value_from(hint, values[name], name)
        return kind(**found)
    except ParameterError as error:
        raise ParameterError(prefix + error.name, error.problem) from error


def unknown_parameter(name: str, known: Sequence[str]) -> ParameterError:
    """Return the error for an unknown name, with the most similar of `known`."""
    import difflib

    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    parameters = ", ".join(known) or "none"
    return ParameterError(name, f"is not a parameter: {hint}The parameters are: {parameters}")


def leaves(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of nested dictionaries by their dotted names."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= leaves(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def value_from(hint: Any, value: Any, name: str, reads_text: bool = True) -> Any:
    """Return `value`, converted to the type `hint`.

    Args:
        hint: the annotation of a parameter.
        value: a value of JSON or TOML, or text: ``5``, ``1e-3``, ``true``, ``none`` for an optional
            parameter, ``LOW..HIGH`` for two whole numbers, and items separated by commas.
        name: of the parameter, for errors.
        reads_text: whether text is parsed as a value of another type.

    Raises:
        ParameterError: the value has the wrong type.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _one_of(arguments, value, name, reads_text)
    if origin is typing.Literal:
        return value
    if hint is str:
        return _checked(str, value, name)
    if hint is Path:
        return value if isinstance(value, Path) else Path(_checked(str, value, name))
    if isinstance(value, str) and reads_text:
        value = _parsed(hint, value, name)
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise ParameterError(name, f"is a group of parameters: set {name}.NAME=VALUE")
        try:
            return parameters_from(typing.cast("type[Any]", hint), value)
        except ParameterError as error:
            raise ParameterError(f"{name}.{error.name}", error.problem) from error
    if origin is tuple:
        return _tuple(arguments, value, name, reads_text)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return _checked(hint, value, name) if hint in _NAMES else value


def _parsed(hint: Any, text: str, name: str) -> Any:
    if typing.get_origin(hint) is tuple:
        return _items(typing.get_args(hint), text, name)
    with suppress(ValueError):
        # JSON does not allow numbers such as .003 and 007.
        if hint in (int, float):
            return hint(text)
    try:
        return json.loads(text)
    except ValueError:
        expected = _NAMES.get(hint, "a JSON value")
        raise ParameterError(name, f"must be {expected}, not {text!r}") from None


def _items(kinds: tuple[Any, ...], text: str, name: str) -> Any:
    """Return the items of a tuple: JSON, separated by commas, or two as ``LOW..HIGH``."""
    is_range = len(kinds) == 2 and Ellipsis not in kinds
    found = re.fullmatch(r"(-?\d{1,9})\.\.(-?\d{1,9})", text.strip())
    if found and is_range:
        return [int(found[1]), int(found[2])]
    with suppress(ValueError):
        return json.loads(text)
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if is_range and len(parts) != len(kinds):
        raise ParameterError(name, f"must be LOW..HIGH, such as -5..6, not {text!r}")
    return parts


def _checked(hint: type, value: Any, name: str) -> Any:
    if type(value) is not hint:
        raise ParameterError(name, f"must be {_NAMES[hint]}, not {json.dumps(value, default=str)}")
    return value


def _one_of(kinds: tuple[Any, ...], value: Any, name: str, reads_text: bool) -> Any:
    if type(None) in kinds and value in (None, "null", "none"):
        return None
    (kind,) = (each for each in kinds if each is not type(None))
    return value_from(kind, value, name, reads_text)


def _tuple(kinds: tuple[Any, ...], value: Any, name: str, reads_text: bool) -> tuple[Any, ...]:
    if kinds[0] is str and value == ["none"]:
        return ()
    if not isinstance(value, list | tuple):
        raise ParameterError(name, f"must be a list such as [0, 1], not {json.dumps(value)}")
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    if len(kinds) != len(value):
        raise ParameterError(name, f"must be a list of {len(kinds)} items, not {len(value)}")
    return tuple(
        value_from(kind, each, name, reads_text) for kind, each in zip(kinds, value, strict=True)
    )
