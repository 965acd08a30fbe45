"""One command-line option for each parameter of a component, derived from its declaration.

Name, type, default, help, bounds and choices are those of the parameter. An option parses its text
and names itself in errors; the parameter set checks values and their combinations.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from tunesmith.cli.argument_names import name_as_given
from tunesmith.cli.derived_command import OWN_SECTION
from tunesmith.cli.options import FOLDER
from tunesmith.components.component import ParameterError, ParameterField
from tunesmith.components.parameter_values import value_from
from tunesmith.pipeline.configuration import ConfigurationError, Setting, local_path
from tunesmith.pipeline.configuration_keys import (
    RUN_KEYS,
    option_name,
    parameters_by_key,
    table_name,
)
from tunesmith.pipeline.dag import components_by_name

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_METAVARS = {int: "INTEGER", float: "FLOAT", str: "TEXT"}


class ParameterType(click.ParamType):  # type: ignore[type-arg]
    """Text as the type of a parameter.

    Args:
        hint: the parameter's annotation.
        known: the allowed values; empty if any value is allowed.
        plugins: whether a plug-in is allowed as well.
    """

    def __init__(self, hint: Any, known: tuple[str, ...], plugins: bool = False) -> None:
        self._hint = hint
        self._known = known
        self.name = _metavar(_kind(hint), (*known, "MODULE:OBJECT") if plugins else known)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return the placeholder of the value in --help."""
        del param, ctx
        return self.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value of a text; other values unchanged."""
        if not isinstance(value, str):
            return value
        assert param is not None
        try:
            return value_from(self._hint, value, name_as_given(param, ctx))
        except ParameterError as error:
            raise click.UsageError(str(error), ctx) from error

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete one of the allowed values."""
        from click.shell_completion import CompletionItem

        del ctx, param
        return [CompletionItem(each) for each in self._known if each.startswith(incomplete)]


def _metavar(kind: Any, known: tuple[str, ...]) -> str:
    if known == RUN_KEYS["from"].declared.known():
        return "COMPONENT"
    if typing.get_origin(kind) is tuple:
        kinds = typing.get_args(kind)
        if Ellipsis not in kinds:
            return "LOW..HIGH"
        return "NAME,…" if kinds[0] is str else "N,N,…"
    return f"[{'|'.join(known)}]" if known else _METAVARS[kind]


def _kind(hint: Any) -> Any:
    """Return the type of an optional value."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        (kind,) = (each for each in typing.get_args(hint) if each is not type(None))
        return kind
    return hint


class ParameterOption(click.Option):
    """The option of a parameter.

    Args:
        key: configuration key of the parameter.
        fields: its declaration, or one for each network that has it.
        option: its name on the command line.
        section: its heading in --help.
    """

    def __init__(
        self, key: str, fields: Sequence[ParameterField], option: str, section: str
    ) -> None:
        field = fields[0]
        declared = field.declared
        kind = _kind(field.type)
        # Networks may have different defaults of the same size.
        defaults = {each.default for each in fields}
        self.key = key
        self.section = section
        self.default_text = default_text(fields)
        self.is_list = typing.get_origin(kind) is tuple and Ellipsis in typing.get_args(kind)
        names = (f"{option}/--no-{option[2:]}",) if kind is bool else (option,)
        types_: dict[Any, Any] = {bool: click.BOOL, Path: FOLDER}
        if key == "midi_dir":  # It may be an archive.
            types_[Path] = click.Path(path_type=Path)
        super().__init__(
            names,
            type=types_.get(Path if typing.get_args(kind)[:1] == (Path,) else kind)
            or ParameterType(field.type, declared.known(), bool(declared.plugins)),
            default=field.default if len(defaults) == 1 else None,
            multiple=self.is_list,
            callback=_joined if self.is_list else None,
            help=_help(key, fields, kind),
        )


def _joined(ctx: click.Context, param: click.Parameter, value: Any) -> tuple[Any, ...]:
    """Return the items of all occurrences of a repeated option."""
    del ctx, param
    return tuple(item for each in value for item in (each if isinstance(each, tuple) else (each,)))


def _help(key: str, fields: Sequence[ParameterField], kind: Any) -> str:
    declared = fields[0].declared
    is_list = typing.get_origin(kind) is tuple and Ellipsis in typing.get_args(kind)
    notes = [
        owners_text(key, fields),
        f"default: {default_text(fields)}",
        declared.unit,
        declared.range(),
        f"of {', '.join(declared.known())}" if is_list and declared.known() else "",
        "repeatable" if is_list else "",
    ]
    if key in RUN_KEYS:
        notes = notes[-1:]
    noted = "; ".join(filter(None, notes))
    return f"{help_text(fields)}  [{noted}]" if noted else help_text(fields)


def help_text(fields: Sequence[ParameterField]) -> str:
    """Return the help of a parameter, for each network if they differ."""
    texts = [field.declared.help for field in fields]
    if len(set(texts)) == 1:
        return texts[0]
    return " ".join(
        f"{field.when[1] if field.when else ''}: {text}"
        for field, text in zip(fields, texts, strict=True)
    )


def owners_text(key: str, fields: Sequence[ParameterField]) -> str:
    """Return the networks that have a parameter; empty if all have it."""
    owners = [field.when for field in fields if field.when is not None]
    if not owners:
        return ""
    decides = owners[0][0]
    (deciding,) = parameters_by_key(_component_of(key))[f"{key.partition('.')[0]}.{decides}"]
    if len(owners) == len(deciding.declared.known()):
        return ""
    return f"{decides} {' and '.join(value for _, value in owners)}"


def _component_of(key: str) -> str:
    return next(name for name in components_by_name() if key.startswith(f"{table_name(name)}."))


def default_text(fields: Sequence[ParameterField]) -> str:
    """Return a parameter's default as text, for each network if they differ."""
    texts = [value_text(each.default) for each in fields]
    if len(set(texts)) == 1:
        return texts[0]
    return ", ".join(
        f"{text} ({each.when[1] if each.when else ''})"
        for text, each in zip(texts, fields, strict=True)
    )


def value_text(value: Any) -> str:
    """Return a value of a parameter as text that the option accepts."""
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        is_range = len(value) == 2 and all(isinstance(each, int) for each in value)
        return ("{}..{}" if is_range else ",".join(["{}"] * len(value))).format(*value)
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


def component_options(component: str) -> list[ParameterOption]:
    """Return an option for each parameter of a component.

    Raises:
        TypeError: two networks declare a size with different types.
    """
    options = []
    for key, fields in parameters_by_key(component).items():
        if len({field.type for field in fields}) > 1:
            raise TypeError(f"{key} is declared with several types")
        options.append(ParameterOption(key, fields, option_name(component, fields[0]), component))
    return options


def run_options(*keys: str) -> list[ParameterOption]:
    """Return the options of these run keys."""
    return [
        ParameterOption(key, [RUN_KEYS[key]], RUN_KEYS[key].declared.option, OWN_SECTION)
        for key in keys
    ]


def given_settings(ctx: click.Context) -> dict[str, Setting]:
    """Return the settings of the command line and the environment, by key.

    Raises:
        click.UsageError: a folder is a URL.
    """
    found = {}
    for option in ctx.command.get_params(ctx):
        if not isinstance(option, ParameterOption) or option.name is None:
            continue
        source = ctx.get_parameter_source(option.name)
        if source not in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT):
            continue
        name, value = name_as_given(option, ctx), ctx.params[option.name]
        kind = "option" if source is ParameterSource.COMMANDLINE else "environment"
        with usage_errors():
            if isinstance(value, Path):
                value = local_path(name, value, Path())
            elif isinstance(value, tuple) and value and isinstance(value[0], Path):
                value = tuple(local_path(name, each, Path()) for each in value)
        found[option.key] = Setting(value, f"{kind} {name}", name)
    return found


@contextmanager
def usage_errors() -> Iterator[None]:
    """Report a configuration or value that cannot be used as a usage error."""
    try:
        yield
    except (ConfigurationError, ValueError) as error:
        raise click.UsageError(str(error)) from error
