"""Trainer: trains a network on windows of tokens and exports it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from tunesmith.components.artifacts import (
    ExampleAnomalies,
    Examples,
    PushedModel,
    TrainedModel,
)
from tunesmith.components.component import (
    Component,
    ParameterError,
    ParameterSet,
    condition,
    dependent,
    parameter,
)
from tunesmith.components.networks.network import network_modules, network_names, sizes_kinds

Keys = Literal["auto", "none", "all"]
Mix = Literal["all", "network"]
Shape = Literal["constant", "cosine", "plateau"]
Precision = Literal["float32", "bfloat16"]
StrategyName = Literal["none", "mirrored", "multi-worker"]

TRAINING_SECONDS = 480.0
"""Default training time, with which ``tunesmith run`` ends within 12 minutes on two cores."""

DRAFTER_BYTES = 2**20
"""Default size of the n-gram: it holds most of a corpus and is read in a few milliseconds."""


@dataclass(frozen=True)
class TrainerInputs:
    """The songs as tokens, and the anomalies, which only decide whether training may begin.

    With a parent (fine-tuning) the network starts from the parent's weights; Transform must have
    the same parent.
    """

    examples: Examples
    parent: PushedModel | None = None
    anomalies: ExampleAnomalies | None = condition()


@dataclass(frozen=True)
class ScheduleParameters(ParameterSet):
    """Parameters of the learning rate schedule; see
    :mod:`tunesmith.components.trainer.schedule`."""

    shape: Shape = parameter(
        "cosine",
        "Learning rate schedule: constant; cosine decay to 0 at the last epoch or at the time "
        "limit; or plateau, which halves the rate when the validation loss has not improved for 2 "
        "epochs.",
        choices=get_args(Shape),
        option="--schedule",
    )
    warmup_steps: int = parameter(
        50,
        "Steps over which the learning rate rises linearly to its peak.",
        least=0,
        unit="steps",
        option="--warmup-steps",
    )
    plateau_factor: float = parameter(
        0.5, "Factor of the learning rate at a plateau.", above=0, below=1
    )
    plateau_patience: int = parameter(
        2,
        "Epochs without a lower validation loss that make a plateau; must be below patience to "
        "take effect.",
        least=1,
        unit="epochs",
    )


@dataclass(frozen=True)
class WarmStartParameters(ParameterSet):
    """Parameters of the warm start: the network's forward halves are trained alone first.

    They form a causal network, which has a target at each position of a window. Networks without
    such halves have no warm start.
    """

    share: float = parameter(
        0.8,
        "Share of epochs and time of the warm start, in which only the forward halves of a "
        "bidirectional network are trained, with a target at each position; 0 = no warm start.",
        least=0,
        below=1,
        option="--warm-start",
    )
    learning_rate: float = parameter(0.01, "Peak learning rate of the warm start.", above=0)
    batch: int = parameter(
        16, "Windows per training step of the warm start (global batch size).", least=1
    )


@dataclass(frozen=True)
class RegularisationParameters(ParameterSet):
    """Regularisation and augmentation, against overfitting."""

    keys: Keys = parameter(
        "auto",
        "Transposition of each training window to a random key: none, all = one of twelve keys, "
        "auto = all if there are fewer than 100 windows per token. A transposed frame outside the "
        "vocabulary is mapped to the nearest one.",
        choices=get_args(Keys),
        option="--keys",
    )
    noise: float = parameter(
        0.1,
        "Share of the tokens in a training window that are replaced by random tokens, drawn by "
        "frequency.",
        least=0,
        below=1,
        option="--noise",
    )
    weight_decay: float = parameter(
        0.01,
        "Decoupled weight decay: share of each weight subtracted per step, times the learning "
        "rate.",
        least=0,
        option="--weight-decay",
    )


@dataclass(frozen=True)
class ServedSettings(ParameterSet):
    """Settings of the exported model: program, recommended sampling, and n-gram for a client."""

    program: int = parameter(
        0,
        "General MIDI program of the composed songs; 0 = grand piano.",
        least=0,
        most=127,
        option="--program",
    )
    sampling_seconds: float = parameter(
        20.0,
        "Time for choosing the recommended temperature and top-p, limited to a tenth of the whole "
        "time limit; 0 = temperature 1 and top-p 1.",
        least=0,
        unit="seconds",
        option="--sampling-seconds",
    )
    drafter_bytes: int = parameter(
        DRAFTER_BYTES,
        "Maximum size of the n-gram exported for speculative decoding (draft model); 0 = none.",
        least=0,
        unit="bytes",
    )


@dataclass(frozen=True)
class MixtureParameters(ParameterSet):
    """Parameters of the mixture; see :mod:`tunesmith.components.mixture.mixture`."""

    mix: Mix = parameter(
        "all",
        "Predictor: all = mixture of the network with n-grams of the training songs and of the "
        "window; network = the network alone.",
        choices=get_args(Mix),
        option="--mix",
    )
    table_mebibytes: float = parameter(
        64.0,
        "Maximum size of the n-gram table, which keeps the most frequent contexts.",
        least=0,
        unit="MiB",
        option="--table-mib",
    )


@dataclass(frozen=True)
class TrainerParameters(ParameterSet):
    """Parameters of the training; the recipe ``paper`` has the paper's values."""

    network: str = parameter(
        "paper",
        "Network to train.",
        choices=network_names,
        plugins="networks",
        option="--network",
    )
    architecture: Any = dependent("network", sizes_kinds)
    epochs: int = parameter(1000, "Maximum number of epochs.", least=1, option="--epochs")
    batch: int = parameter(
        64,
        "Windows per training step (global batch size of all devices).",
        least=1,
        option="--batch",
    )
    learning_rate: float = parameter(
        0.001, "Peak learning rate (Nadam).", above=0, option="--learning-rate"
    )
    schedule: ScheduleParameters = field(default_factory=ScheduleParameters)
    warm_start: WarmStartParameters = field(default_factory=WarmStartParameters)
    regularisation: RegularisationParameters = field(default_factory=RegularisationParameters)
    clip_norm: float | None = parameter(
        1.0,
        "Maximum global norm of the gradients (clipping).",
        above=0,
        option="--clip-norm",
    )
    patience: int = parameter(
        5,
        "Early stopping: number of epochs without a lower validation loss.",
        least=1,
        unit="epochs",
        option="--patience",
    )
    cut_share: float = parameter(
        0.1,
        "Share of the training songs held out for validation; the weights of the epoch with the "
        "lowest validation loss are kept. 0 = validate on training songs.",
        least=0,
        below=1,
    )
    maximum_seconds: float | None = parameter(
        TRAINING_SECONDS,
        "Time limit of the component, from reading to exporting. Training with several workers, "
        "whose clocks differ, has no time limit.",
        above=0,
        unit="seconds",
        option="--max-seconds",
    )
    epoch_steps: int | None = parameter(
        256,
        "Maximum steps per epoch; a longer pass over the windows is divided into several epochs.",
        least=1,
        unit="steps",
    )
    seed: int = parameter(
        0, "Random seed for initialisation, dropout and shuffling.", least=0, option="--seed"
    )
    precision: Precision = parameter(
        "float32",
        "Precision of matrix products; weights and loss are always float32.",
        choices=get_args(Precision),
        option="--precision",
    )
    strategy: StrategyName = parameter(
        "none",
        "Distribution strategy: none = one device, mirrored = all GPUs of this machine, "
        "multi-worker = the workers of TF_CONFIG, each running the same command with its own root.",
        choices=get_args(StrategyName),
        option="--strategy",
    )
    memory_mebibytes: float = parameter(
        1024.0,
        "Maximum memory for the windows; a larger corpus is read in shuffled blocks.",
        above=0,
        unit="MiB",
        option="--memory-mib",
    )
    mixture: MixtureParameters = field(default_factory=MixtureParameters)
    settings: ServedSettings = field(default_factory=ServedSettings)
    checkpoint_seconds: float | None = parameter(
        60.0,
        "Time between checkpoints; there is also one after each epoch.",
        above=0,
        unit="seconds",
        option="--checkpoint-seconds",
        affects_result=False,
    )
    checkpoint_steps: int | None = parameter(
        None,
        "Steps between checkpoints. Several workers save only by steps and after each epoch.",
        least=1,
        unit="steps",
        option="--checkpoint-steps",
        affects_result=False,
    )
    tensorboard: Path | None = parameter(
        None,
        "Folder of the TensorBoard logs; none = ROOT/tensorboard.",
        option="--tensorboard-dir",
        affects_result=False,
    )

    def check(self) -> None:
        """Check that several workers have no time limit."""
        is_given = self.maximum_seconds not in (None, TRAINING_SECONDS)
        if self.strategy == "multi-worker" and is_given:
            raise ParameterError(
                "maximum_seconds",
                "cannot be set with several workers, whose clocks differ: limit the epochs instead",
            )

    @property
    def time_limit(self) -> float | None:
        """Time limit of the component in seconds; None without a limit."""
        return None if self.strategy == "multi-worker" else self.maximum_seconds


TRAINER: Component[TrainerInputs, TrainerParameters, TrainedModel] = Component(
    "Trainer",
    TrainerInputs,
    TrainerParameters,
    TrainedModel,
    "tunesmith.components.trainer.executor:execute",
    resumable=True,
    modules=lambda parameters: network_modules(parameters.network),
)
