"""``tunesmith component``: one component alone, on the artifacts of another run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tunesmith.cli.console import ConsoleProgress
from tunesmith.cli.options import BEAM_OPTIONS, FOLDER, check_beam_options, usage_errors
from tunesmith.cli.tables import flat
from tunesmith.pipeline.components import COMPONENTS

if TYPE_CHECKING:
    from tunesmith.pipeline.components import Registered


@click.command("component")
@click.argument("name", type=click.Choice(list(COMPONENTS)))
@click.option("--root", type=FOLDER, help="Folder of the pipeline's work.")
@click.option(
    "--input",
    "given",
    multiple=True,
    metavar="[NAME=]EXECUTION|PATH",
    help="What to work on: an execution's number, an artifact's folder, or a folder of MIDI files.",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter, named as --describe does.",
)
@click.option(
    "--like", type=int, metavar="EXECUTION", help="Take the parameters of this execution first."
)
@click.option("--no-wait", is_flag=True, help="End with an error where another run is at work.")
@click.option("--describe", is_flag=True, help="Tell its inputs and parameters, and end.")
@BEAM_OPTIONS
def command(
    name: str,
    root: Path | None,
    given: tuple[str, ...],
    assignments: tuple[str, ...],
    like: int | None,
    no_wait: bool,
    describe: bool,
    beam_options: tuple[str, ...],
) -> None:
    """Run one component alone, on the artifacts of another run.

    Prints the folder of what it made. It is recorded, and skipped where it has been done, as in a
    run of the whole pipeline. What follows a -- goes to Beam untouched.
    """
    from tunesmith.pipeline.components import Setting
    from tunesmith.pipeline.inputs import take_inputs
    from tunesmith.pipeline.parameters import nested, parameters_from
    from tunesmith.pipeline.runner import Runner

    registered = COMPONENTS[name]()
    if describe:
        _describe(registered)
        return
    if root is None:
        raise click.UsageError("Missing option '--root'.")
    with usage_errors():
        told = nested(assignments, _parameters_of(root, name, like))
        parameters = parameters_from(registered.parameters, told)
    options = check_beam_options(beam_options)
    inputs = take_inputs(registered.inputs, given, root)
    component = registered.build(Setting(root, options), inputs)
    recorded = {"input": given, **dataclasses.asdict(parameters), "beam_options": options}
    with Runner(
        root, ConsoleProgress(), command=f"component {name}", told=recorded, wait=not no_wait
    ) as runner:
        made = runner.run(component, inputs, parameters)
    click.echo(made.path)


def _parameters_of(root: Path, name: str, execution: int | None) -> dict[str, Any]:
    """Return the parameters of an execution of the component; none for None.

    Raises:
        click.UsageError: it is one of another component.
    """
    from tunesmith.pipeline.lineage import read_lineage

    if execution is None:
        return {}
    found = read_lineage(str(execution), root).executions[-1]
    if found.component != name:
        raise click.UsageError(f"execution {execution} is one of {found.component}, not of {name}")
    return found.parameters


def _describe(registered: Registered) -> None:
    from tunesmith.pipeline.inputs import describe_inputs

    click.echo("inputs:")
    for line in describe_inputs(registered.inputs):
        click.echo(f"  {line}")
    click.echo("parameters:")
    for name, value in flat(dataclasses.asdict(registered.parameters())):
        click.echo(f"  {name}={value}")
