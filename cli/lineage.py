"""``tunesmith lineage``: the executions, parameters and files that led to an artifact."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunesmith.cli.options import FOLDER
from tunesmith.cli.tables import console, duration, moment, parameter_texts, print_json, styled

if TYPE_CHECKING:
    from rich.table import Table
    from rich.tree import Tree

    from tunesmith.pipeline.lineage import Lineage, RecordedArtifact, RecordedExecution

FILES_SHOWN = 10
"""Files shown of a folder of MIDI files; ``--json`` lists all."""


@click.command("lineage")
@click.argument("artifact")
@click.option(
    "--root",
    type=FOLDER,
    help="Root folder of the pipeline.  [default: the root that contains ARTIFACT]",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(artifact: str, root: Path | None, as_json: bool) -> None:
    """Show the executions, parameters and MIDI files that led to ARTIFACT.

    ARTIFACT is a published version (ROOT/models/NAME/VERSION), the folder of any other artifact, or
    the ID of an execution.
    """
    from tunesmith.pipeline.lineage import read_lineage

    lineage = read_lineage(artifact, root)
    if as_json:
        print_json({**vars(lineage), "sources": lineage.sources()})
    else:
        console().print(_draw(lineage))


def _draw(lineage: Lineage) -> Tree:
    """Return the lineage as a tree; an execution with several consumers is drawn once."""
    from rich.markup import escape
    from rich.tree import Tree

    executions = {execution.id: execution for execution in lineage.executions}
    drawn: set[int] = set()

    def add_artifact(branch: Tree, name: str, artifact: RecordedArtifact) -> None:
        node = branch.add(f"{name}: {_name(artifact, lineage.root)}")
        if artifact.execution is None:
            _add_files(node, artifact)
        elif artifact.execution in drawn:
            node.add(f"[dim]execution {artifact.execution}, above[/]")
        else:
            add_execution(node, executions[artifact.execution])

    def add_execution(branch: Tree, execution: RecordedExecution) -> None:
        drawn.add(execution.id)
        node = branch.add(_describe(execution))
        if execution.libraries:
            node.add(f"[dim]{escape(_libraries(execution))}[/]")
        if parameters := parameter_texts(execution.parameters):
            node.add(_table(parameters))
        for name, artifact in execution.inputs.items():
            add_artifact(node, name, artifact)

    if lineage.artifact is None:
        tree = Tree(f"execution {lineage.executions[-1].id}, without an artifact")
    else:
        tree = Tree(_name(lineage.artifact, lineage.root))
    if lineage.executions:
        add_execution(tree, lineage.executions[-1])
    elif lineage.artifact is not None:
        _add_files(tree, lineage.artifact)
    return tree


def _name(artifact: RecordedArtifact, root: str) -> str:
    from rich.markup import escape

    path = Path(artifact.path)
    shown = path.relative_to(root) if path.is_relative_to(root) else path
    gone = "" if path.exists() else " [red](no longer there)[/]"
    return f"[bold]{artifact.type}[/] {escape(str(shown))}{gone}"


def _describe(execution: RecordedExecution) -> str:
    from rich.markup import escape

    took = None if execution.ended is None else execution.ended - execution.started
    parts = [
        f"[bold cyan]{execution.component}[/] execution {execution.id}",
        "" if execution.run is None else f"run {execution.run}",
        styled(execution.outcome),
        moment(execution.started),
        duration(took),
        f"code {execution.code[:12]}",
        f"tunesmith {execution.version}" if execution.version else "",
        escape(execution.message),
    ]
    return ", ".join(filter(None, parts))


def _libraries(execution: RecordedExecution) -> str:
    return ", ".join(f"{name} {version}" for name, version in execution.libraries.items())


def _table(parameters: dict[str, str]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for name, value in parameters.items():
        table.add_row(f"[dim]{name}[/]", escape(value))
    return table


def _add_files(branch: Tree, artifact: RecordedArtifact) -> None:
    from rich.markup import escape

    for file in artifact.files[:FILES_SHOWN]:
        digest = file.blake2b[:16] or "unreadable"
        branch.add(f"{escape(file.path)} [dim]{digest}[/]")
    more = len(artifact.files) - FILES_SHOWN
    if more > 0:
        branch.add(f"[dim]{more} more files (--json lists them all)[/]")
