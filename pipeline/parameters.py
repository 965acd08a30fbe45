"""Parameters of a component out of text or out of the record, whatever dataclass they are."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

Parameters = TypeVar("Parameters")

_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def parameters_from(
    kind: type[Parameters], told: Mapping[str, Any], prefix: str = ""
) -> Parameters:
    """Return the dataclass `kind` with the values told, and its defaults for the others.

    Args:
        kind: a dataclass of numbers, text, booleans, tuples, None and such dataclasses.
        told: by name: what JSON made of an earlier one, or text that says the same.
        prefix: of the names in errors.

    Raises:
        ValueError: there is no such parameter, its type is another, or `kind` refuses it.
    """
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for name in told:
        if name not in names:
            known = ", ".join(prefix + each for each in names) or "none"
            raise ValueError(f"there is no parameter {prefix}{name}; there are: {known}")
    return kind(**{name: _value(hints[name], told[name], prefix + name) for name in told})


def nested(assignments: Iterable[str], base: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with assignments such as ``architecture.units=8`` made in it, as text.

    Raises:
        ValueError: one is no assignment.
    """
    result: dict[str, Any] = json.loads(json.dumps(base))
    for assignment in assignments:
        path, equals, value = assignment.partition("=")
        *folders, name = path.split(".")
        if not equals or not name:
            raise ValueError(f"{assignment!r} is not NAME=VALUE, such as epochs=5")
        level = result
        for folder in folders:
            level = level.setdefault(folder, {})
            if not isinstance(level, dict):
                raise ValueError(f"{path}: there is nothing below {folder}")
        level[name] = value
    return result


def _value(hint: Any, value: Any, name: str) -> Any:
    """Return `value` as the type `hint`; text stands for what JSON would make of it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _one_of(arguments, value, name)
    if origin is typing.Literal:
        if value not in arguments:
            raise ValueError(f"{name} must be one of {', '.join(map(str, arguments))}")
        return value
    if hint is str:
        return _checked(str, value, name)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            expected = _NAMES.get(hint, "a value as JSON has it")
            raise ValueError(f"{name} must be {expected}, not {value!r}") from None
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise ValueError(f"{name} has parameters of its own: give {name}.NAME=VALUE")
        return parameters_from(typing.cast("type[Any]", hint), value, f"{name}.")
    if origin is tuple:
        return _tuple(arguments, value, name)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return _checked(hint, value, name) if hint in _NAMES else value


def _checked(hint: type, value: Any, name: str) -> Any:
    if type(value) is not hint:
        raise ValueError(f"{name} must be {_NAMES[hint]}, not {json.dumps(value)}")
    return value


def _one_of(kinds: tuple[Any, ...], value: Any, name: str) -> Any:
    if type(None) in kinds and value in (None, "null"):
        return None
    errors = []
    for kind in kinds:
        if kind is not type(None):
            try:
                return _value(kind, value, name)
            except ValueError as error:
                errors.append(error)
    raise errors[0]


def _tuple(kinds: tuple[Any, ...], value: Any, name: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ValueError(f"{name} must be a list such as [0, 1], not {json.dumps(value)}")
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    if len(kinds) != len(value):
        raise ValueError(f"{name} must be a list of {len(kinds)}, not of {len(value)}")
    return tuple(_value(kind, each, name) for kind, each in zip(kinds, value, strict=True))
