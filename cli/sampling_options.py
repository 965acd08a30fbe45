"""The options of ``tunesmith generate`` that the sampling filters declare, one for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tunesmith.client.filter_option import FilterOption
    from tunesmith.client.filters import Filter


class SamplingCommand(click.Command):
    """A command with an option for each sampling filter, after its option ``--steps``.

    They are added when the command is used, not for the list of all commands: importing the filters
    imports numpy and grpc.
    """

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return all options, the same ones in each call."""
        from tunesmith.client.filters import FILTERS

        names = [each.name for each in self.params]
        if FILTERS[0].option.keyword not in names:
            place = names.index("steps") + 1
            self.params[place:place] = [_option(each.option) for each in FILTERS]
        return super().get_params(ctx)


class _FilterValue(click.ParamType):  # type: ignore[type-arg]
    """A number in the range that a filter declares."""

    def __init__(self, declared: FilterOption) -> None:
        self.name = "integer" if declared.kind is int else "float"
        self._declared = declared
        self._number = click.INT if declared.kind is int else click.FLOAT

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | float:
        number: int | float = self._number.convert(value, param, ctx)
        problem = self._declared.problem(number)
        if problem:
            self.fail(problem, param, ctx)
        return number


def _option(declared: FilterOption) -> click.Option:
    name = f"--{declared.keyword.replace('_', '-')}"
    return click.Option(
        [name], type=_FilterValue(declared), metavar=declared.symbol, help=declared.help
    )


class FilterType(click.ParamType):  # type: ignore[type-arg]
    """A filter of one's own: ``NAME`` or ``NAME=NUMBER``."""

    name = "filter"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Filter:
        from tunesmith.client import BadOption
        from tunesmith.client.filter_plugins import load_filter

        try:
            return load_filter(str(value))
        except BadOption as error:
            self.fail(str(error), param, ctx)
