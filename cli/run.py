"""``tunesmith run``: the whole pipeline, from a folder of MIDI to a pushed model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tunesmith.cli.console import ConsoleProgress
from tunesmith.cli.gates import (
    evaluator_parameters,
    gate_options,
    infra_parameters,
    pusher_parameters,
    validator_parameters,
)
from tunesmith.cli.options import (
    BEAM_OPTIONS,
    FOLDER,
    MIDI_DIR,
    check_beam_options,
    reading_options,
    usage_errors,
)
from tunesmith.cli.preprocess import check_local, describe_songs, reading_parameters
from tunesmith.cli.training import trainer_parameters, training_options, upkeep

if TYPE_CHECKING:
    from tunesmith.pipeline.dag import PipelineConfig, PipelineResult


@click.command("run")
@MIDI_DIR
@click.option("--root", type=FOLDER, required=True, help="Folder of the pipeline's work.")
@reading_options
@training_options
@click.option(
    "--program",
    type=int,
    default=0,
    show_default=True,
    help="General MIDI program that songs are written with; 0 is the grand piano.",
)
@gate_options
@click.option("--no-wait", is_flag=True, help="End with an error where another run is at work.")
@BEAM_OPTIONS
def command(
    midi_dir: Path, root: Path, no_wait: bool, beam_options: tuple[str, ...], **options: Any
) -> None:
    """Learn from a folder of MIDI files and push a model that can be served.

    Every step is recorded in --root and skipped when nothing that it depends on has changed, so a
    run that was stopped goes on when it is started again. Songs with anomalies, a model that beats
    no baseline, or one that the engine does not serve as it must, stop the run. It leaves
    report.html in --root. What follows a -- goes to Beam untouched.
    """
    config = pipeline_config(midi_dir, root, check_beam_options(beam_options), options)
    run_and_report(config, ConsoleProgress(), wait=not no_wait)


def pipeline_config(
    midi_dir: Path, root: Path, beam_options: tuple[str, ...], options: dict[str, Any]
) -> PipelineConfig:
    """Return the configuration that the command line's options say."""
    from tunesmith.pipeline.dag import PipelineConfig

    example_gen, transform = reading_parameters(**options)
    with usage_errors():
        trainer = trainer_parameters(options)
        return PipelineConfig(
            # Workers of Beam, and readers of the record, may have another working directory.
            check_local("--midi-dir", midi_dir).absolute(),
            check_local("--root", root).absolute(),
            example_gen,
            transform,
            trainer,
            example_validator=validator_parameters(options),
            evaluator=evaluator_parameters(options),
            infra_validator=infra_parameters(options),
            pusher=pusher_parameters(options),
            beam_options=beam_options,
            upkeep=upkeep(options),
        )


def run_and_report(
    config: PipelineConfig, progress: ConsoleProgress, wait: bool = True
) -> PipelineResult:
    """Run the pipeline, say what came of it, and leave ``report.html`` in the root.

    The report of a run that a gate stopped tells what the gate saw.
    """
    from tunesmith.components.errors import GateClosed
    from tunesmith.components.pusher.executor import versions_of
    from tunesmith.pipeline.dag import run_pipeline
    from tunesmith.pipeline.report import write_report

    report = config.root / "report.html"
    try:
        result = run_pipeline(config, progress, wait)
    except GateClosed:
        write_report(report, config.root)
        progress.say(f"{report} draws what the gate saw")
        raise
    write_report(report, config.root)
    for line in describe_songs(result.sequences.path, result.examples.path):
        progress.say(line)
    history = result.model.history()
    for epoch in history["epochs"]:
        kept = "  <- kept" if epoch["epoch"] == history["best_epoch"] else ""
        progress.say(
            f"epoch {epoch['epoch']:3}  loss {epoch['train_loss']:.3f}  "
            f"held out {epoch['eval_loss']:.3f} nats a window{kept}"
        )
    model_dir, version = result.pushed.path.parent, result.pushed.version
    progress.say(f"pushed version {version} to {model_dir}")
    newest = versions_of(model_dir)[-1]
    if version < newest:
        progress.say(
            f"version {newest} was pushed after it and is served: tunesmith rollback --model-dir "
            f"{model_dir} --to {version} serves this one again"
        )
    progress.say(f"{report} draws the run")
    progress.say(f"next: tunesmith generate --model-dir {model_dir} --out song.mid")
    return result
