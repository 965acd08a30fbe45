"""The components as the runner knows them: what each takes, runs, and counts as its code."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunesmith.components.artifacts import (
    ExampleAnomalies,
    Examples,
    ExampleStatistics,
    InfraBlessing,
    MidiFolder,
    ModelEvaluation,
    PushedModel,
    Sequences,
    TrainedModel,
)
from tunesmith.components.errors import GateClosed
from tunesmith.components.evaluator.executor import EvaluatorParameters, evaluate
from tunesmith.components.example_gen.executor import run_example_gen
from tunesmith.components.example_gen.song_files import ExampleGenParameters
from tunesmith.components.example_validator.executor import (
    ExampleValidatorParameters,
    stopping_sentence,
    validate_examples,
)
from tunesmith.components.infra_validator.candidate import candidate_host
from tunesmith.components.infra_validator.executor import (
    InfraValidatorParameters,
    failing_sentence,
    validate_infrastructure,
)
from tunesmith.components.progress import Progress
from tunesmith.components.pusher.executor import DEFAULT_KEEP, check_keep, next_version, push
from tunesmith.components.sources.midi_folder import MidiFiles
from tunesmith.components.statistics_gen.executor import (
    StatisticsGenParameters,
    generate_statistics,
)
from tunesmith.components.trainer.executor import TrainerParameters, Upkeep, train
from tunesmith.components.trainer.export.saved_model import MODEL_NAME
from tunesmith.components.transform.executor import run_transform
from tunesmith.components.transform.song_tokens import TransformParameters
from tunesmith.pipeline.runner import Component


@dataclass(frozen=True)
class FromMidi:
    """What ExampleGen takes."""

    midi: MidiFolder


@dataclass(frozen=True)
class FromSequences:
    """What Transform takes."""

    sequences: Sequences


@dataclass(frozen=True)
class FromRecords:
    """What StatisticsGen takes."""

    examples: Examples
    sequences: Sequences


@dataclass(frozen=True)
class FromStatistics:
    """What ExampleValidator takes."""

    statistics: ExampleStatistics


@dataclass(frozen=True)
class FromExamples:
    """What Trainer takes. What ExampleValidator allowed is no part of what is learned."""

    examples: Examples


@dataclass(frozen=True)
class ToEvaluate:
    """What Evaluator takes; `baseline` is the model that was blessed before."""

    examples: Examples
    model: TrainedModel
    baseline: PushedModel | None = None


@dataclass(frozen=True)
class ToServe:
    """What InfraValidator takes."""

    model: TrainedModel
    examples: Examples


@dataclass(frozen=True)
class ToPush:
    """What Pusher takes; a model that no gate has seen may be pushed by hand."""

    model: TrainedModel
    evaluation: ModelEvaluation | None = None
    infra: InfraBlessing | None = None


@dataclass(frozen=True)
class PusherParameters:
    """Where the model goes: ``<root>/models/<model_name>/<version>/``.

    Args:
        model_name: under which it is served.
        keep: versions that stay, at least 2; 0 for all.
    """

    model_name: str = MODEL_NAME
    keep: int = DEFAULT_KEEP

    def __post_init__(self) -> None:
        # It becomes a folder below the root, which it may not leave.
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.model_name):
            raise ValueError(
                f"a model's name is letters, digits, '.', '_' and '-', not {self.model_name!r}"
            )
        check_keep(self.keep)


def _under(name: str) -> Callable[[Path, int, Any], Path]:
    def destination(root: Path, execution: int, _: Any) -> Path:
        return root / name / str(execution)

    return destination


_RECORDS = ("jobs", "records", "record_files", "sinks")
_NETWORK = (
    "model",
    "network",
    "forward_pass",
    "generation",
    "gru_cudnn",
    "gru_training",
    "gru_unrolled",
    "export",
    "runtime",
)


def _code(*modules: str) -> tuple[str, ...]:
    return tuple(f"tunesmith.components.{module}" for module in modules)


def example_gen(
    beam_options: tuple[str, ...], files: MidiFiles
) -> Component[FromMidi, ExampleGenParameters, Sequences]:
    """ExampleGen of the listed files, which are those of its input."""

    def execute(
        _: FromMidi, parameters: ExampleGenParameters, output: Path, progress: Progress
    ) -> None:
        with progress.task(f"reading {len(files)} MIDI files"):
            run_example_gen(files, output, parameters, beam_options)

    code = _code("example_gen", "job_report", "song_files", "splitting", *_RECORDS)
    return Component(
        "ExampleGen", Sequences, execute, (*code, "tunesmith.music"), _under("ExampleGen")
    )


def transform(
    beam_options: tuple[str, ...],
) -> Component[FromSequences, TransformParameters, Examples]:
    """Transform, run by Beam as `beam_options` say."""

    def execute(
        inputs: FromSequences, parameters: TransformParameters, output: Path, progress: Progress
    ) -> None:
        with progress.task("counting the vocabulary and encoding the songs"):
            run_transform(inputs.sequences, output, parameters, beam_options)

    code = _code("transform", "encoding", "statistics", *_RECORDS)
    return Component(
        "Transform", Examples, execute, (*code, "tunesmith.music"), _under("Transform")
    )


def _generate_statistics(
    inputs: FromRecords, parameters: StatisticsGenParameters, output: Path, progress: Progress
) -> None:
    generate_statistics(inputs.examples, inputs.sequences, output, parameters, progress)


STATISTICS_GEN: Component[FromRecords, StatisticsGenParameters, ExampleStatistics] = Component(
    "StatisticsGen",
    ExampleStatistics,
    _generate_statistics,
    _code("statistics_gen", "statistics", "drift", "copies", "record_files"),
    _under("StatisticsGen"),
)


def _validate_examples(
    inputs: FromStatistics, parameters: ExampleValidatorParameters, output: Path, progress: Progress
) -> None:
    if not validate_examples(inputs.statistics, output, parameters, progress):
        raise GateClosed(stopping_sentence(ExampleAnomalies(output, "").content()))


EXAMPLE_VALIDATOR: Component[FromStatistics, ExampleValidatorParameters, ExampleAnomalies] = (
    Component(
        "ExampleValidator",
        ExampleAnomalies,
        _validate_examples,
        _code("example_validator", "anomalies"),
        _under("ExampleValidator"),
    )
)


def trainer(upkeep: Upkeep, root: Path) -> Component[FromExamples, TrainerParameters, TrainedModel]:
    """Trainer, which leaves beside its model what `upkeep` says."""

    def execute(
        inputs: FromExamples,
        parameters: TrainerParameters,
        output: Path,
        progress: Progress,
        checkpoints: Path,
    ) -> None:
        logs = upkeep.tensorboard or root / "tensorboard"
        kept = replace(upkeep, checkpoints=checkpoints, tensorboard=logs)
        train(inputs.examples, output, parameters, progress, kept)

    learning = ("trainer", "training_loop", "learner", "schedule", "distribution", "loss_curve")
    code = _code(*learning, "windows", "song_index", *_NETWORK)
    return Component(
        "Trainer",
        TrainedModel,
        execute,
        (*code, "tunesmith.music.vocabulary"),
        _under("Trainer"),
        resumable=True,
    )


def _evaluate(
    inputs: ToEvaluate, parameters: EvaluatorParameters, output: Path, progress: Progress
) -> None:
    evaluate(inputs.examples, inputs.model, inputs.baseline, output, parameters, progress)
    evaluation = ModelEvaluation(output, "")
    if not evaluation.blessed:
        failed = [each["why"] for each in evaluation.content()["checks"] if not each["passed"]]
        raise GateClosed(
            f"the model is not blessed ({'; '.join(failed)}): train longer or on more songs, or "
            "run again with --beat naming what is enough (none asks for nothing); it is not "
            "trained again"
        )


EVALUATOR: Component[ToEvaluate, EvaluatorParameters, ModelEvaluation] = Component(
    "Evaluator",
    ModelEvaluation,
    _evaluate,
    (
        *_code("evaluator", "evaluation_file", "baselines", "blessing", "comparison", "composing"),
        *_code(
            "likelihood", "saved_predictor", "song_measures", "record_files", "windows", "runtime"
        ),
        "tunesmith.music",
    ),
    _under("Evaluator"),
)


def _validate_infrastructure(
    inputs: ToServe, parameters: InfraValidatorParameters, output: Path, progress: Progress
) -> None:
    host = candidate_host(parameters.engine)
    if not validate_infrastructure(
        inputs.model, inputs.examples, output, parameters, progress, host
    ):
        raise GateClosed(failing_sentence(InfraBlessing(output, "").content()))


INFRA_VALIDATOR: Component[ToServe, InfraValidatorParameters, InfraBlessing] = Component(
    "InfraValidator",
    InfraBlessing,
    _validate_infrastructure,
    (
        *_code("infra_validator", "infra_checks", "record_files"),
        "tunesmith.components.infra_validator.candidate",
        # Another server may answer otherwise.
        "tunesmith.serving",
    ),
    _under("InfraValidator"),
    # The machine may have been busy.
    asks_again=True,
)


def _push(inputs: ToPush, _: PusherParameters, output: Path, __: Progress) -> None:
    push(inputs.model, output)


def _next_model_folder(root: Path, _: int, parameters: PusherParameters) -> Path:
    model_dir = root / "models" / parameters.model_name
    return model_dir / str(next_version(model_dir))


PUSHER: Component[ToPush, PusherParameters, PushedModel] = Component(
    "Pusher", PushedModel, _push, _code("pusher"), _next_model_folder
)
