"""The pipeline: ExampleGen, Transform, Trainer, Pusher, from MIDI files to a served version."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tunesmith.components.artifacts import (
    Examples,
    MidiFolder,
    PushedModel,
    Sequences,
    TrainedModel,
)
from tunesmith.components.encoding import TransformParameters
from tunesmith.components.export import MODEL_NAME
from tunesmith.components.jobs import run_example_gen, run_transform
from tunesmith.components.listing import MidiFiles, list_midi_files
from tunesmith.components.progress import Progress
from tunesmith.components.pusher import next_version, push
from tunesmith.components.song_files import ExampleGenParameters
from tunesmith.components.trainer import TrainerParameters, Upkeep, train
from tunesmith.pipeline.runner import Component, Runner, midi_folder


@dataclass(frozen=True)
class PusherParameters:
    """Where the model goes: ``<root>/models/<model_name>/<version>/``."""

    model_name: str = MODEL_NAME

    def __post_init__(self) -> None:
        # It becomes a folder below the root, which it may not leave.
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.model_name):
            raise ValueError(
                f"a model's name is letters, digits, '.', '_' and '-', not {self.model_name!r}"
            )


@dataclass(frozen=True)
class PipelineConfig:
    """Everything that a run is told.

    Args:
        midi_dir: the folder of MIDI files.
        root: the folder of the record, the artifacts and the models.
        example_gen: see the component.
        transform: see the component.
        trainer: see the component.
        pusher: where the model goes.
        beam_options: handed to Beam untouched; they say where a job runs, not what it makes, so
            they do not count as a change.
        upkeep: how often a training saves where it is, and where it logs; no change either. The
            pipeline says where its checkpoints are, and where it logs unless told.
    """

    midi_dir: Path
    root: Path
    example_gen: ExampleGenParameters
    transform: TransformParameters
    trainer: TrainerParameters
    pusher: PusherParameters = field(default_factory=PusherParameters)
    beam_options: tuple[str, ...] = ()
    upkeep: Upkeep = field(default_factory=Upkeep)


@dataclass(frozen=True)
class PipelineResult:
    """The artifacts of a run."""

    sequences: Sequences
    examples: Examples
    model: TrainedModel
    pushed: PushedModel


@dataclass(frozen=True)
class _FromMidi:
    midi: MidiFolder


@dataclass(frozen=True)
class _FromSequences:
    sequences: Sequences


@dataclass(frozen=True)
class _FromExamples:
    examples: Examples


@dataclass(frozen=True)
class _FromModel:
    model: TrainedModel


def run_pipeline(config: PipelineConfig, progress: Progress) -> PipelineResult:
    """Run the components that have not run yet, and return every artifact.

    Raises:
        ComponentError: a component failed; what came before it stays done.
        OSError: the root cannot be written.
    """
    files = list_midi_files(config.midi_dir)
    runner = Runner(config.root, progress)
    midi = midi_folder(config.midi_dir, files)
    sequences = runner.run(
        _example_gen(config.beam_options, files), _FromMidi(midi), config.example_gen
    )
    examples = runner.run(
        _transform(config.beam_options), _FromSequences(sequences), config.transform
    )
    model = runner.run(_trainer(config), _FromExamples(examples), config.trainer)
    pushed = runner.run(_PUSHER, _FromModel(model), config.pusher)
    return PipelineResult(sequences, examples, model, pushed)


def _under(name: str) -> Callable[[Path, int, Any], Path]:
    def destination(root: Path, execution: int, _: Any) -> Path:
        return root / name / str(execution)

    return destination


def _example_gen(
    beam_options: tuple[str, ...], files: MidiFiles
) -> Component[_FromMidi, ExampleGenParameters, Sequences]:
    def execute(
        _: _FromMidi, parameters: ExampleGenParameters, output: Path, progress: Progress
    ) -> None:
        # The files are those of the input, which was listed to take its digest.
        with progress.task(f"reading {len(files)} MIDI files"):
            run_example_gen(files, output, parameters, beam_options)

    return Component(
        "ExampleGen",
        Sequences,
        execute,
        (
            "tunesmith.components.example_gen",
            "tunesmith.components.jobs",
            "tunesmith.components.job_report",
            "tunesmith.components.records",
            "tunesmith.components.sinks",
            "tunesmith.components.song_files",
            "tunesmith.components.splitting",
            "tunesmith.music",
        ),
        _under("ExampleGen"),
    )


def _transform(
    beam_options: tuple[str, ...],
) -> Component[_FromSequences, TransformParameters, Examples]:
    def execute(
        inputs: _FromSequences, parameters: TransformParameters, output: Path, progress: Progress
    ) -> None:
        with progress.task("counting the vocabulary and encoding the songs"):
            run_transform(inputs.sequences, output, parameters, beam_options)

    return Component(
        "Transform",
        Examples,
        execute,
        (
            "tunesmith.components.transform",
            "tunesmith.components.encoding",
            "tunesmith.components.jobs",
            "tunesmith.components.records",
            "tunesmith.components.sinks",
            "tunesmith.components.statistics",
            "tunesmith.music",
        ),
        _under("Transform"),
    )


def _trainer(config: PipelineConfig) -> Component[_FromExamples, TrainerParameters, TrainedModel]:
    def execute(
        inputs: _FromExamples,
        parameters: TrainerParameters,
        output: Path,
        progress: Progress,
        checkpoints: Path,
    ) -> None:
        upkeep = replace(
            config.upkeep,
            checkpoints=checkpoints,
            tensorboard=config.upkeep.tensorboard or config.root / "tensorboard",
        )
        train(inputs.examples, output, parameters, progress, upkeep)

    return Component(
        "Trainer",
        TrainedModel,
        execute,
        (
            "tunesmith.components.trainer",
            "tunesmith.components.training_loop",
            "tunesmith.components.learner",
            "tunesmith.components.schedule",
            "tunesmith.components.distribution",
            "tunesmith.components.windows",
            "tunesmith.components.song_index",
            "tunesmith.components.model",
            "tunesmith.components.network",
            "tunesmith.components.gru_training",
            "tunesmith.components.loss_curve",
            "tunesmith.components.export",
            "tunesmith.components.runtime",
            "tunesmith.music.vocabulary",
        ),
        _under("Trainer"),
        resumable=True,
    )


def _push(inputs: _FromModel, _: PusherParameters, output: Path, __: Progress) -> None:
    push(inputs.model, output)


def _next_model_folder(root: Path, _: int, parameters: PusherParameters) -> Path:
    model_dir = root / "models" / parameters.model_name
    return model_dir / str(next_version(model_dir))


_PUSHER: Component[_FromModel, PusherParameters, PushedModel] = Component(
    "Pusher", PushedModel, _push, ("tunesmith.components.pusher",), _next_model_folder
)
