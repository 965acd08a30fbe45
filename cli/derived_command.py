"""A command whose options are derived from declarations, under the headings of its sections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

OWN_SECTION = "Options"
"""Heading of the options that belong to no component."""


class DerivedCommand(click.Command):
    """A command whose options are derived when they are needed.

    The list of all commands needs none, so that it imports no component.

    Args:
        derive: returns the options, which precede the command's own.
    """

    def __init__(
        self, *args: Any, derive: Callable[[], Sequence[click.Parameter]], **more: Any
    ) -> None:
        super().__init__(*args, **more)
        self._derive: Callable[[], Sequence[click.Parameter]] | None = derive

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the derived parameters and the command's own."""
        if self._derive is not None:
            derived, self._derive = self._derive(), None
            self.params = [*derived, *self.params]
        return super().get_params(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of each section under its heading."""
        sections: dict[str, list[tuple[str, str]]] = {OWN_SECTION: []}
        for each in self.get_params(ctx):
            record = each.get_help_record(ctx)
            if record is not None and isinstance(each, click.Option):
                sections.setdefault(getattr(each, "section", OWN_SECTION), []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)
