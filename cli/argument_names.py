"""The names of arguments in errors: option, environment variable or configuration key, as given.

Lower layers know no command line. They name an argument as Python does, and a parameter in an
advice by its configuration key, such as ``trainer.batch``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import click
from click.core import ParameterSource

_KEY = re.compile(r"(?<![\w./-])[a-z_]+(?:\.[a-z_]+)+(?![\w/])")

_OPTION_ERRORS = ("BadOption",)
"""Errors of the client library whose message begins with the name of an argument."""

Result = TypeVar("Result")


def name_as_given(option: click.Parameter, ctx: click.Context | None) -> str:
    """Return the name of an option for errors: its environment variable if that set it."""
    if ctx is not None and option.name is not None:
        source = ctx.get_parameter_source(option.name)
        if source is ParameterSource.ENVIRONMENT and isinstance(option.envvar, str):
            return option.envvar
    return option.opts[0]


class NamingContext(click.Context):
    """The context of a command whose errors name arguments by its options."""

    def invoke(self, *args: Any, **kwargs: Any) -> Any:
        """Invoke the command."""
        with arguments_named(_names_of_options(self)):
            return super().invoke(*args, **kwargs)


def _names_of_options(ctx: click.Context) -> dict[str, str]:
    """Return the name of each option by its argument in Python, or its configuration key."""
    names: dict[str, str] = {}
    for option in ctx.command.get_params(ctx):
        if isinstance(option, click.Option):
            given = name_as_given(option, ctx)
            argument = max(option.opts, key=len)[2:].replace("-", "_")
            names |= {argument: given, getattr(option, "key", argument): given}
    return names


@contextmanager
def arguments_named(names: Mapping[str, str]) -> Iterator[None]:
    """Name arguments and configuration keys in an error of the block by `names`.

    Args:
        names: by the argument's name in Python, or by configuration key; a key without an entry has
            the name of its option.
    """
    try:
        yield
    except Exception as error:
        _rename(error, names)
        raise


def _rename(error: Exception, names: Mapping[str, str]) -> None:
    if type(error).__name__ in _OPTION_ERRORS:
        first, space, rest = str(error).partition(" ")
        error.args = (f"{names.get(first, first)}{space}{rest}",)
        return
    if not type(error).__module__.startswith(("tunesmith.components", "tunesmith.pipeline")):
        return
    from tunesmith.components.errors import ArgumentError

    message = str(error)
    if isinstance(error, ArgumentError):
        # Of nested blocks the inner one, which knows the configuration file, decides.
        error.name = names.get(error.name, error.name)
        message = f"{error.name} {error.problem}"
    error.args = (with_option_names(message, names),)


def with_option_names(text: str, names: Mapping[str, str] | None = None) -> str:
    """Return a text with each configuration key replaced by the name of its option.

    Args:
        text: the text.
        names: other names, by key.
    """
    from tunesmith.pipeline.configuration_keys import known_keys, option_name, table_name
    from tunesmith.pipeline.dag import components_by_name

    components = {table_name(each): each for each in components_by_name()}

    def name(found: re.Match[str]) -> str:
        key = found[0]
        if key not in known_keys():
            return key
        option = option_name(components[key.partition(".")[0]], known_keys()[key][0])
        return (names or {}).get(key, option)

    return _KEY.sub(name, text)
