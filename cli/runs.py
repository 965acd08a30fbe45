"""``tunesmith runs``: what ran in a root, and how it ended."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunesmith.cli.options import FOLDER
from tunesmith.cli.tables import console, duration, moment, print_json, styled

if TYPE_CHECKING:
    from tunesmith.pipeline.history import Run


@click.command("runs")
@click.option(
    "--root",
    type=FOLDER,
    help="Folder of the pipeline's work.  [default: the one around the working directory]",
)
@click.option(
    "--last", type=click.IntRange(1), default=10, show_default=True, help="Only so many runs."
)
@click.option("--json", "as_json", is_flag=True, help="Everything there is, for a program.")
def command(root: Path | None, last: int, as_json: bool) -> None:
    """List the runs of a pipeline: what each executed and skipped, and how it ended."""
    from tunesmith.pipeline.history import read_runs
    from tunesmith.pipeline.lineage import find_root

    runs = read_runs(root or find_root(Path()), last)
    if as_json:
        print_json(runs)
    else:
        _print(runs)


def _print(runs: list[Run]) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for title in ("run", "what", "execution", "outcome", "started", "took", "artifact"):
        table.add_column(title, overflow="fold")
    for run in runs:
        table.add_row(
            str(run.id),
            escape(run.command),
            "",
            styled(run.outcome),
            moment(run.started),
            duration(None if run.ended is None else run.ended - run.started),
            escape(run.message),
            style="bold",
        )
        for step in run.steps:
            refused = step.outcome == "refused"
            table.add_row(
                "",
                f"  {step.component}",
                str(step.execution),
                styled("skipped" if step.skipped and not refused else step.outcome),
                moment(step.started),
                "" if step.skipped else duration(step.seconds),
                escape(step.artifact or ""),
            )
        table.add_section()
    console().print(table)
