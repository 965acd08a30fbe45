"""Sampling filters of one's own, loaded by name: plug-ins of the kind ``filters``."""

from __future__ import annotations

from typing import cast

from tunesmith.client.errors import BadOption
from tunesmith.client.filters import Filter
from tunesmith.plugins import PluginError, load_plugin


def load_filter(text: str) -> Filter:
    """Return the filter of a plug-in.

    ``NAME`` is the plug-in's object, or what it returns without arguments if it is a class.
    ``NAME=NUMBER`` is what the object, a class or a function, returns for that number.

    Args:
        text: ``NAME`` or ``NAME=NUMBER``, where NAME is an entry point of the group
            ``tunesmith.filters``, or ``module:object``.

    Raises:
        BadOption: it cannot be loaded, the number is none, or the result is not a filter.
    """
    name, has_number, number = text.partition("=")
    try:
        found = load_plugin("filters", name)
    except PluginError as error:
        raise BadOption(str(error)) from error
    if has_number or isinstance(found, type):
        found = _made(name, found, [_number(text, number)] if has_number else [])
    if not callable(found):
        raise BadOption(f"{name} is not a filter: it must be a function of rows and windows")
    return cast("Filter", found)


def _made(name: str, factory: object, arguments: list[float]) -> object:
    if not callable(factory):
        raise BadOption(f"{name} is not a function or a class: it takes no number")
    try:
        return factory(*arguments)
    except (TypeError, ValueError) as error:
        call = f"{name}({', '.join(map(str, arguments))})"
        raise BadOption(f"{call} failed: {' '.join(str(error).split())}") from error


def _number(text: str, number: str) -> float:
    try:
        return int(number)
    except ValueError:
        pass
    try:
        return float(number)
    except ValueError:
        raise BadOption(f"{text!r} is not NAME or NAME=NUMBER") from None
