"""``tunesmith versions``: the published versions of a model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunesmith.cli.options import FOLDER
from tunesmith.cli.tables import console, figure, moment, print_json

if TYPE_CHECKING:
    from tunesmith.pipeline.published import PublishedVersion


@click.command("versions")
@click.option(
    "--root",
    type=FOLDER,
    help="Root folder of the pipeline.  [default: the root that contains the working directory]",
)
@click.option("--model-dir", type=FOLDER, help="Base path of one model, in a root or elsewhere.")
@click.option(
    "--model-name", metavar="NAME", help="Name of the model.  [default: all models in the root]"
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(
    root: Path | None, model_dir: Path | None, model_name: str | None, as_json: bool
) -> None:
    """List the published versions of a model: served or rolled back, blessed, loss, run.

    Servers serve the highest version. A model is blessed if the latest result of every gate that
    checked it is a blessing.
    """
    from tunesmith.pipeline.lineage import find_root
    from tunesmith.pipeline.published import model_dirs, read_versions

    if model_dir is not None and (root is not None or model_name is not None):
        raise click.UsageError("give either --model-dir, or --root with --model-name")
    found = [model_dir] if model_dir else model_dirs(root or find_root(Path()), model_name)
    versions = [version for each in found for version in read_versions(each)]
    if as_json:
        print_json([{**asdict(each), "blessed": each.blessed} for each in versions])
    else:
        _print(versions)


def _print(versions: list[PublishedVersion]) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for title in ("model", "version", "state", "model of", "blessed", "nats", "run", "published"):
        table.add_column(title, overflow="fold", justify="right" if title == "nats" else "left")
    table.add_column("digest")
    for each in versions:
        table.add_row(
            escape(each.model_name),
            str(each.version),
            _state(each),
            _content(each),
            escape(_blessed(each)),
            figure(each.nats),
            "" if each.run is None else str(each.run),
            "" if each.published is None else moment(each.published),
            each.model[:12],
            style="bold" if each.is_served else "",
        )
    console().print(table)


def _state(version: PublishedVersion) -> str:
    if version.is_served:
        return "[green]served[/]"
    if version.rolled_back_by is not None:
        return f"[yellow]rolled back by {version.rolled_back_by}[/]"
    return ""


def _content(version: PublishedVersion) -> str:
    """Return the source of the content: an older version, or the execution that trained it."""
    if version.copy_of is not None:
        return f"version {version.copy_of}"
    if version.kind == "foreign":
        return "another program"
    if version.trained_by is None:
        return ""
    return f"execution {version.trained_by}"


def _blessed(version: PublishedVersion) -> str:
    """Return whether the model is blessed, and by which executions."""
    if version.blessed is None:
        return "not checked"
    word = "yes" if version.blessed else "no"
    decisive = [each for each in version.findings if each.blessed == version.blessed]
    return f"{word}: " + ", ".join(f"{each.component} {each.execution}" for each in decisive)
