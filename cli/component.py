"""``tunesmith component``: one component alone, on the artifacts of another run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tunesmith.cli import log_lines
from tunesmith.cli.console import ConsoleProgress
from tunesmith.cli.derived_command import DerivedCommand
from tunesmith.cli.environment import PREFIX, EnvironmentGroup, prefix_of
from tunesmith.cli.options import BEAM_OPTIONS, FOLDER, NO_WAIT, PLUGIN_PATH, check_beam_options
from tunesmith.cli.plugin_options import GATE

if TYPE_CHECKING:
    from tunesmith.components.component import Component
    from tunesmith.pipeline.configuration import Setting


class ComponentGroup(EnvironmentGroup):
    """A group with a subcommand for each component."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the components."""
        from tunesmith.pipeline.dag import components_by_name

        del ctx
        return list(components_by_name())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the subcommand of a component."""
        return _component_command(cmd_name) if cmd_name in self.list_commands(ctx) else None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Accept the component's name behind its options as well as before them."""
        names = self.list_commands(ctx)
        place = next((place for place, each in enumerate(args) if each in names), 0)
        return super().parse_args(
            ctx, [*args[place : place + 1], *args[:place], *args[place + 1 :]]
        )

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the component's command.

        Raises:
            click.UsageError: there is no such component; the message lists all of them.
        """
        names = self.list_commands(ctx)
        if args[0] not in names:
            raise click.UsageError(
                f"unknown component {args[0]}: choose one of {', '.join(names)}", ctx
            )
        return super().resolve_command(ctx, args)


@click.group("component", cls=ComponentGroup, prefix=prefix_of(PREFIX, "component"))
def command() -> None:
    """Run one component alone, on the artifacts of another run.

    Prints the folder of the component's artifact. The execution is recorded in --root, and skipped
    if an equal one is recorded there, as in a run of the whole pipeline.
    """


@cache
def _component_command(name: str) -> click.Command:
    from tunesmith.pipeline.dag import components_by_name

    component = components_by_name()[name]

    @click.command(
        name,
        cls=DerivedCommand,
        derive=partial(_derived, name),
        help=f"Run {name} alone, on the artifacts of another run.\n\nPrints the folder of its "
        f"artifact ({component.output.__name__}). Options after -- are passed to Beam.",
        short_help=f"Output: {component.output.__name__}.",
    )
    @click.option("--root", type=FOLDER, help="Folder of the metadata store and the artifacts.")
    @click.option(
        "--input",
        "given",
        multiple=True,
        metavar="[NAME=]EXECUTION|PATH",
        help="Input: the ID of an execution, the folder of an artifact, or a folder of MIDI files "
        "(repeatable).",
    )
    @click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="NAME=VALUE",
        help="Set a parameter by its name; --describe lists the names (repeatable).",
    )
    @click.option(
        "--like",
        type=int,
        metavar="EXECUTION",
        help="Start from the parameters of this execution (its ID).",
    )
    @GATE
    @NO_WAIT
    @PLUGIN_PATH
    @click.option(
        "--describe", is_flag=True, help="Print the component's inputs and parameters, and exit."
    )
    @BEAM_OPTIONS
    @click.pass_context
    def run_component(
        ctx: click.Context,
        /,
        root: Path | None,
        given: tuple[str, ...],
        assignments: tuple[str, ...],
        like: int | None,
        no_wait: bool,
        describe: bool,
        beam_options: tuple[str, ...],
        **_: Any,
    ) -> None:
        if describe:
            for line in _description(component):
                click.echo(line)
            return
        if root is None:
            raise click.UsageError("Missing option '--root'.")
        parameters = _parameters(ctx, component, root, assignments, like)
        _run(component, root, given, parameters, check_beam_options(beam_options), not no_wait)

    return run_component


def _derived(name: str) -> Sequence[click.Parameter]:
    from tunesmith.cli.derived_options import component_options

    return component_options(name)


def _run(
    component: Component[Any, Any, Any],
    root: Path,
    given: tuple[str, ...],
    parameters: Any,
    beam_options: tuple[str, ...],
    wait: bool,
) -> None:
    from tunesmith.components.progress import executing
    from tunesmith.components.sources.source import AUTO
    from tunesmith.pipeline.inputs import take_inputs
    from tunesmith.pipeline.runner import Runner

    inputs = take_inputs(component.inputs, given, root, getattr(parameters, "source", AUTO))
    recorded = {"input": given, **asdict(parameters), "beam_options": beam_options}
    with (
        Runner(
            root,
            ConsoleProgress(),
            command=f"component {component.name}",
            config=recorded,
            wait=wait,
            beam_options=beam_options,
        ) as runner,
        executing(component.name),
    ):
        made = runner.run(component, inputs, parameters)
    click.echo(made.path)


def _parameters(
    ctx: click.Context,
    component: Component[Any, Any, Any],
    root: Path,
    assignments: Sequence[str],
    like: int | None,
) -> Any:
    """Return the parameters: those of execution `like`, overridden by the command line."""
    from tunesmith.cli.derived_options import given_settings, usage_errors
    from tunesmith.pipeline.configuration import component_parameters, merged

    with usage_errors():
        assigned = _assigned(component.name, assignments)
        given = given_settings(ctx)
        for key in assigned.keys() & given.keys():
            if given[key].origin.startswith("option"):
                raise click.UsageError(
                    f"{assigned[key].name} and {given[key].name} set the same parameter"
                )
        base = _settings_like(component.name, root, like) if like is not None else {}
        return component_parameters(component, merged(base, {**given, **assigned}))


def _assigned(component: str, assignments: Sequence[str]) -> dict[str, Setting]:
    """Return the settings of the options ``--set NAME=VALUE``."""
    from tunesmith.components.parameter_values import unknown_parameter
    from tunesmith.pipeline.configuration import Setting
    from tunesmith.pipeline.configuration_keys import parameters_by_key, table_name

    found = {}
    table = f"{table_name(component)}."
    names = [key.removeprefix(table) for key in parameters_by_key(component)]
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise click.UsageError(f"{assignment!r} is not NAME=VALUE, such as epochs=5")
        if name not in names:
            raise unknown_parameter(name, names)
        found[table + name] = Setting(value, f"option --set {name}", f"--set {name}")
    return found


def _settings_like(component: str, root: Path, execution: int) -> dict[str, Setting]:
    """Return the parameters of an execution of the component.

    Parameters that the component no longer has are ignored with a warning.

    Raises:
        click.UsageError: it is an execution of another component.
    """
    from tunesmith.components.networks.network import choose_network
    from tunesmith.components.parameter_values import leaves
    from tunesmith.pipeline.configuration import Setting
    from tunesmith.pipeline.configuration_keys import parameters_by_key, table_name
    from tunesmith.pipeline.lineage import read_lineage

    recorded = read_lineage(str(execution), root).executions[-1]
    if isinstance(recorded.parameters.get("network"), str):
        choose_network(recorded.parameters["network"])
    if recorded.component != component:
        raise click.UsageError(
            f"execution {execution} is an execution of {recorded.component}, not of {component}"
        )
    origin, table = f"execution {execution}", table_name(component)
    values = leaves(recorded.parameters)
    gone = [name for name in values if f"{table}.{name}" not in parameters_by_key(component)]
    if gone:
        log_lines.warn(f"ignored parameters of {origin} that no longer exist: {', '.join(gone)}")
    return {
        f"{table}.{name}": Setting(value, origin, f"{origin}: {name}")
        for name, value in values.items()
        if name not in gone
    }


def _description(component: Component[Any, Any, Any]) -> list[str]:
    """Return the inputs of a component, and its parameters with default and option."""
    from tunesmith.cli.derived_options import component_options
    from tunesmith.pipeline.configuration_keys import table_name
    from tunesmith.pipeline.inputs import describe_inputs

    inputs = [f"  {line}" for line in describe_inputs(component.inputs)]
    table = f"{table_name(component.name)}."
    parameters = [
        f"  {option.key.removeprefix(table)}={option.default_text}  ({option.opts[0]})"
        for option in component_options(component.name)
    ]
    return ["inputs:", *inputs, "parameters:", *parameters]
