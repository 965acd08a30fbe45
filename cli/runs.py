"""``tunesmith runs``: the recorded runs of a root, and a comparison of two of them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tunesmith.cli.options import FOLDER
from tunesmith.cli.tables import console, duration, figure, moment, print_json, styled

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tunesmith.pipeline.comparison import Comparison, Row
    from tunesmith.pipeline.history import Run


@click.command("runs")
@click.option(
    "--root",
    type=FOLDER,
    help="Root folder of the pipeline.  [default: the root that contains the working directory]",
)
@click.option(
    "--last", type=click.IntRange(1), default=10, show_default=True, help="Number of runs to list."
)
@click.option(
    "--compare",
    type=(int, int),
    metavar="RUN RUN",
    help="Compare the parameters, code and figures of two runs.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(root: Path | None, last: int, compare: tuple[int, int] | None, as_json: bool) -> None:
    """List the recorded runs: executed and skipped components, outcomes and losses.

    "nats" is the loss per frame on the eval split, measured by Evaluator; "cut loss" is Trainer's
    validation loss, on the training songs that it held out.
    """
    from tunesmith.pipeline.comparison import compare_runs
    from tunesmith.pipeline.history import read_run, read_runs
    from tunesmith.pipeline.lineage import find_root

    root = root or find_root(Path())
    if compare is not None:
        first, second = (read_run(root, run) for run in compare)
        comparison = compare_runs(first, second)
        if as_json:
            print_json(_described(comparison))
        else:
            _print_comparison(comparison)
        return
    runs = read_runs(root, last)
    if as_json:
        print_json(runs)
    else:
        _print(runs)


def _print(runs: list[Run]) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from tunesmith.components.artifacts import LOSS, NATS

    table = Table(box=box.SIMPLE_HEAD)
    for title in ("run", "command", "execution", "outcome", "started", "took"):
        table.add_column(title, overflow="fold")
    for title in ("nats", "cut loss"):
        table.add_column(title, justify="right")
    table.add_column("artifact", overflow="fold")
    for run in runs:
        table.add_row(
            str(run.id),
            escape(run.command),
            "",
            styled(run.outcome),
            moment(run.started),
            duration(run.seconds),
            figure(run.figure(NATS)),
            figure(run.figure(LOSS)),
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
                figure(step.figures.get(NATS)),
                figure(step.figures.get(LOSS)),
                escape(step.artifact or ""),
            )
        table.add_section()
    console().print(table)


def _described(comparison: Comparison) -> dict[str, Any]:
    def rows(given: Iterable[Row]) -> list[dict[str, Any]]:
        return [{**asdict(row), "differs": row.differs} for row in given]

    return {
        "runs": [comparison.first, comparison.second],
        "parameters": rows(comparison.parameters),
        "code": rows(comparison.code),
        "figures": rows(comparison.figures),
    }


def _print_comparison(comparison: Comparison) -> None:
    """Print both runs side by side; rows that differ are marked, and of the code only those."""
    from rich import box
    from rich.table import Table

    runs = (comparison.first, comparison.second)
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("")
    for title in ("component", "", *(f"run {run.id}" for run in runs)):
        table.add_column(title, overflow="fold")
    for name, values in (
        ("started", [moment(run.started) for run in runs]),
        ("outcome", [styled(run.outcome) for run in runs]),
        ("took", [duration(run.seconds) for run in runs]),
    ):
        table.add_row("", "", name, *values)
    for rows in (
        comparison.figures,
        comparison.parameters,
        [row for row in comparison.code if row.differs],
    ):
        table.add_section()
        for row in rows:
            table.add_row(*_cells(row), style="bold yellow" if row.differs else "")
    console().print(table)


def _cells(row: Row) -> tuple[str, ...]:
    from rich.markup import escape

    values = [_value(row, each) for each in (row.first, row.second)]
    return ("*" if row.differs else "", row.component, escape(row.name), *map(escape, values))


def _value(row: Row, value: Any) -> str:
    if value is None:
        return "–"
    if row.name == "code":
        return str(value)[:12]
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value)
