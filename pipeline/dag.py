"""The pipeline: from a folder of MIDI files through every gate to a served version."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from tunesmith.components.artifacts import (
    ExampleAnomalies,
    Examples,
    ExampleStatistics,
    InfraBlessing,
    ModelEvaluation,
    PushedModel,
    Sequences,
    TrainedModel,
)
from tunesmith.components.evaluator.executor import EvaluatorParameters
from tunesmith.components.example_gen.song_files import ExampleGenParameters
from tunesmith.components.example_validator.executor import ExampleValidatorParameters
from tunesmith.components.infra_validator.executor import InfraValidatorParameters
from tunesmith.components.progress import Progress
from tunesmith.components.pusher.executor import reclaim
from tunesmith.components.sources.midi_folder import list_midi_files
from tunesmith.components.statistics_gen.executor import StatisticsGenParameters
from tunesmith.components.trainer.executor import TrainerParameters, Upkeep
from tunesmith.components.transform.song_tokens import TransformParameters
from tunesmith.pipeline import steps
from tunesmith.pipeline.blessed import last_blessed
from tunesmith.pipeline.runner import Runner
from tunesmith.pipeline.sources import midi_folder


@dataclass(frozen=True)
class PipelineConfig:
    """Everything that a run is told.

    Args:
        midi_dir: the folder of MIDI files.
        root: the folder of the record, the artifacts and the models.
        example_gen: see the component; so the others.
        transform: see the component.
        trainer: see the component.
        statistics_gen: see the component.
        example_validator: what stops a run before training.
        evaluator: what a model must do to be blessed.
        infra_validator: what the engine must do with it.
        pusher: where the model goes.
        beam_options: handed to Beam untouched; they say where a job runs, not what it makes, so
            they do not count as a change.
        upkeep: what training leaves beside its result; its checkpoints are the runner's.
    """

    midi_dir: Path
    root: Path
    example_gen: ExampleGenParameters
    transform: TransformParameters
    trainer: TrainerParameters
    statistics_gen: StatisticsGenParameters = field(default_factory=StatisticsGenParameters)
    example_validator: ExampleValidatorParameters = field(
        default_factory=ExampleValidatorParameters
    )
    evaluator: EvaluatorParameters = field(default_factory=EvaluatorParameters)
    infra_validator: InfraValidatorParameters = field(default_factory=InfraValidatorParameters)
    pusher: steps.PusherParameters = field(default_factory=steps.PusherParameters)
    beam_options: tuple[str, ...] = ()
    upkeep: Upkeep = field(default_factory=Upkeep)


@dataclass(frozen=True)
class PipelineResult:
    """The artifacts of a run that no gate stopped."""

    sequences: Sequences
    examples: Examples
    statistics: ExampleStatistics
    anomalies: ExampleAnomalies
    model: TrainedModel
    evaluation: ModelEvaluation
    infra: InfraBlessing
    pushed: PushedModel


def run_pipeline(config: PipelineConfig, progress: Progress, wait: bool = True) -> PipelineResult:
    """Run the components that have not run yet, and return every artifact.

    Args:
        config: what to do.
        progress: where it is told.
        wait: whether to wait for another run in the root, or to raise.

    Raises:
        GateClosed: a gate stopped the run; its artifact says why.
        ComponentError: a component failed; what came before it stays done.
        OSError: the root cannot be written.
    """
    files = list_midi_files(config.midi_dir)
    told = asdict(config)
    with Runner(config.root, progress, command="run", told=told, wait=wait) as runner:
        midi = midi_folder(config.midi_dir, files)
        sequences = runner.run(
            steps.example_gen(config.beam_options, files),
            steps.FromMidi(midi),
            config.example_gen,
        )
        examples = runner.run(
            steps.transform(config.beam_options), steps.FromSequences(sequences), config.transform
        )
        statistics = runner.run(
            steps.STATISTICS_GEN, steps.FromRecords(examples, sequences), config.statistics_gen
        )
        anomalies = runner.run(
            steps.EXAMPLE_VALIDATOR, steps.FromStatistics(statistics), config.example_validator
        )
        model = runner.run(
            steps.trainer(config.upkeep, config.root), steps.FromExamples(examples), config.trainer
        )
        baseline = last_blessed(config.root, config.pusher.model_name, model)
        evaluation = runner.run(
            steps.EVALUATOR, steps.ToEvaluate(examples, model, baseline), config.evaluator
        )
        infra = runner.run(
            steps.INFRA_VALIDATOR, steps.ToServe(model, examples), config.infra_validator
        )
        pushed = runner.run(steps.PUSHER, steps.ToPush(model, evaluation, infra), config.pusher)
        for version in reclaim(pushed.path.parent, config.pusher.keep):
            progress.say(f"version {version} of {config.pusher.model_name} was removed")
    return PipelineResult(
        sequences, examples, statistics, anomalies, model, evaluation, infra, pushed
    )
