"""``tunesmith run``: the whole pipeline, from a folder of MIDI files to a published model."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tunesmith.cli import log_lines
from tunesmith.cli.argument_names import arguments_named, with_option_names
from tunesmith.cli.console import ConsoleProgress
from tunesmith.cli.derived_command import DerivedCommand
from tunesmith.cli.options import (
    BEAM_OPTIONS,
    DRY_RUN,
    FILE,
    LOG_FORMAT,
    NO_WAIT,
    PRINT_CONFIG,
)

if TYPE_CHECKING:
    from tunesmith.components.artifacts import TrainedModel
    from tunesmith.pipeline.configuration import Setting, Settings
    from tunesmith.pipeline.dag import PipelineConfig, PipelineResult
    from tunesmith.pipeline.run import PlannedStep


def _derived() -> Sequence[click.Parameter]:
    return pipeline_options(
        *("midi_dir", "root", "recipe", "from", "until", "rerun", "gates", "plugin_path")
    )


def pipeline_options(*keys: str) -> list[click.Parameter]:
    """Return the options of some run keys, and those of all components."""
    from tunesmith.cli.derived_options import component_options, run_options
    from tunesmith.pipeline.dag import pipeline_components

    own = run_options(*keys)
    return [
        *own,
        *(option for each in pipeline_components() for option in component_options(each.name)),
    ]


@click.command(
    "run",
    cls=DerivedCommand,
    derive=_derived,
    epilog="Environment variables can set each option as well: TUNESMITH_RUN_EPOCHS=20.",
)
@click.option("--config", type=FILE, help="Configuration file (TOML); options override it.")
@click.option(
    "--again",
    type=int,
    metavar="RUN",
    help="Use the configuration of this earlier run in --root; options override it.",
)
@PRINT_CONFIG
@DRY_RUN
@LOG_FORMAT
@NO_WAIT
@BEAM_OPTIONS
@click.pass_context
def command(
    ctx: click.Context,
    /,
    config: Path | None,
    again: int | None,
    print_config: bool,
    dry_run: bool,
    no_wait: bool,
    **_: Any,
) -> None:
    """Train a model on a folder of MIDI files and publish it for serving.

    Every execution is recorded in --root. A component is skipped if its inputs, parameters and code
    are unchanged, so an interrupted run resumes when it is started again. A gate that refuses the
    songs or the model ends the run with exit code 3. The report is ROOT/report.html. Options after
    -- are passed to Beam.
    """
    from tunesmith.cli.derived_options import usage_errors
    from tunesmith.pipeline.configuration import merged

    given = given_for_run(ctx)
    with usage_errors():
        settings = merged(_base(config, again, given), given)
    run_as_set(settings, given, print_config=print_config, dry_run=dry_run, no_wait=no_wait)


def run_as_set(
    settings: Settings, given: Settings, *, print_config: bool, dry_run: bool, no_wait: bool
) -> None:
    """Run the pipeline, or print what would be run.

    Args:
        settings: all settings; the recipe has values for the other keys.
        given: the settings of the command line and the environment among them.
        print_config: print the effective configuration and run nothing.
        dry_run: print what would be executed and run nothing.
        no_wait: fail if another run holds the lock.

    Raises:
        click.UsageError: a value is not allowed.
        ComponentError: see :func:`run_and_report`.
    """
    from tunesmith.cli.derived_options import usage_errors
    from tunesmith.pipeline.configuration import pipeline_config, with_recipe
    from tunesmith.pipeline.configuration_file import configuration_text

    with usage_errors():
        settings = with_recipe(settings)
        text = configuration_text(settings)
        if print_config:
            click.echo(text, nl=False)
            return
        configured = pipeline_config(settings)
    _warn_of_unused(given, configured)
    with arguments_named({key: setting.name for key, setting in settings.items()}):
        if dry_run:
            from tunesmith.pipeline.run import plan_pipeline

            for step in plan_pipeline(configured):
                click.echo(_planned(step))
            return
        run_and_report(configured, ConsoleProgress(), not no_wait, text)


def given_for_run(ctx: click.Context) -> dict[str, Setting]:
    """Return the settings of the command line and the environment."""
    from tunesmith.cli.derived_options import given_settings
    from tunesmith.pipeline.configuration import Setting

    found = given_settings(ctx)
    beam_options = ctx.params["beam_options"]
    if beam_options:
        found["beam_options"] = Setting(beam_options, "options after --", "--")
    return found


def _base(config: Path | None, again: int | None, given: Settings) -> dict[str, Setting]:
    """Return the settings of the configuration file, or those of a recorded run."""
    from tunesmith.pipeline.configuration_file import read_configuration, recorded_configuration
    from tunesmith.pipeline.lineage import find_root

    if config is not None and again is not None:
        raise click.UsageError("--config and --again exclude each other: give one of them")
    if again is not None:
        root = given["root"].value if "root" in given else find_root(Path())
        return recorded_configuration(root, again)
    return read_configuration(config) if config is not None else {}


def _warn_of_unused(given: Settings, config: PipelineConfig) -> None:
    """Warn of options of components that are not part of this run."""
    from tunesmith.pipeline.configuration_keys import table_name
    from tunesmith.pipeline.dag import pipeline_components

    executed = {each.name for each in config.steps()}
    for component in pipeline_components():
        if component.name in executed:
            continue
        for key, setting in given.items():
            # The Evaluator compares the model with the one that is served under this name.
            is_read = key == "pusher.model_name" and "Evaluator" in executed
            of_component = key.startswith(f"{table_name(component.name)}.")
            if of_component and setting.origin.startswith("option") and not is_read:
                log_lines.warn(
                    f"{setting.name} has no effect: {component.name} is not part of this run"
                )


def _planned(step: PlannedStep) -> str:
    """Return one line of a dry run."""
    words = {True: "would be executed", False: "would not be executed", None: "may be executed"}
    return f"{step.component}: {words[step.executed]}: {'; '.join(step.reasons)}"


def run_and_report(
    config: PipelineConfig, progress: ConsoleProgress, wait: bool = True, config_text: str = ""
) -> PipelineResult:
    """Run the pipeline, print a summary, and write ``report.html`` into the root.

    A run that a gate stopped has a report, too.

    Args:
        config: what to run.
        progress: where progress is shown.
        wait: whether to wait for another run in the root, or to raise.
        config_text: the configuration file that repeats the run, to be recorded with it.
    """
    from tunesmith.cli.shown_songs import show_frames
    from tunesmith.components.errors import GateClosed
    from tunesmith.pipeline.candidate import read_candidate
    from tunesmith.pipeline.report import write_report
    from tunesmith.pipeline.run import run_pipeline

    try:
        result = run_pipeline(config, progress, wait, config_text)
    except GateClosed:
        report = write_report(config.root, show=show_frames)
        progress.say(f"report: {report}")
        for line in _candidate(config.root):
            progress.say(line)
        raise
    report = write_report(config.root, show=show_frames)
    for line in _summary(result):
        progress.say(line)
    progress.say(f"report: {report}")
    trained = read_candidate(config.root)
    if trained is not None:
        progress.say(f"to improve the model: {with_option_names(trained.advice)}")
    if result.pushed is not None:
        progress.say(
            "next: tunesmith generate --model-dir "
            f"{shlex.quote(str(result.pushed.path.parent))} --out song.mid"
        )
    return result


def _candidate(root: Path) -> list[str]:
    """Return advice on a model that a gate refused: how to improve it, and how to listen to it."""
    from tunesmith.pipeline.candidate import read_candidate

    found = read_candidate(root)
    if found is None:
        return []
    command = ["tunesmith", "generate", "--model-dir", str(found.model), "--out", "song.mid"]
    advice = with_option_names(found.advice)
    lines = [f"to improve the model: {advice}"] if found.is_refused else []
    return [*lines, f"to listen to the refused model: {shlex.join(command)}"]


def _summary(result: PipelineResult) -> list[str]:
    """Return a summary of a run, a line each: songs, losses, version."""
    from tunesmith.cli.preprocess import describe_songs
    from tunesmith.components.artifacts import TrainedModel
    from tunesmith.components.example_gen.component import EXAMPLE_GEN
    from tunesmith.components.pusher.versions import versions_of
    from tunesmith.components.transform.component import TRANSFORM

    made = result.artifacts
    lines = []
    if TRANSFORM.name in made:
        lines += describe_songs(made[EXAMPLE_GEN.name].path, made[TRANSFORM.name].path)
    for artifact in made.values():
        if isinstance(artifact, TrainedModel):
            lines += _epochs(artifact)
    if result.pushed is not None:
        model_dir, version = result.pushed.path.parent, result.pushed.version
        lines.append(f"pushed version {version} to {model_dir}")
        newest = versions_of(model_dir)[-1]
        if version < newest:
            lines.append(
                f"version {newest} is newer and is served; to serve this one again: tunesmith "
                f"rollback --model-dir {model_dir} --to {version}"
            )
    return lines


def _epochs(model: TrainedModel) -> list[str]:
    history = model.history()
    return [
        f"epoch {epoch['epoch']:3}  training loss {epoch['train_loss']:.3f}  "
        f"validation loss {epoch['cut_loss']:.3f} nats per window"
        f"{'  <- best' if epoch['epoch'] == history['best_epoch'] else ''}"
        for epoch in history["epochs"]
    ]
