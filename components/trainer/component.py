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
"""So that all of ``tunesmith run`` ends within 12 minutes on two cores."""

DRAFTER_BYTES = 2**20
"""Read within a few milliseconds, and most of a corpus."""


@dataclass(frozen=True)
class TrainerInputs:
    """The songs as tokens; what ExampleValidator allowed is no part of what is learned.

    With a parent, the model to be tuned, the network begins with its weights; it is the parent that
    Transform was given.
    """

    examples: Examples
    parent: PushedModel | None = None
    anomalies: ExampleAnomalies | None = condition()


@dataclass(frozen=True)
class ScheduleParameters(ParameterSet):
    """How the learning rate changes; see :mod:`tunesmith.components.trainer.schedule`."""

    shape: Shape = parameter(
        "cosine",
        "Learning rate schedule: constant, cosine decay to 0 at the last of --epochs or at "
        "--max-seconds, or halving when the loss on the songs set aside does not improve for 2 "
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
        0.5, "Factor that a plateau multiplies the learning rate by.", above=0, below=1
    )
    plateau_patience: int = parameter(
        2,
        "Epochs without a better loss on the songs set aside that make a plateau; fewer than "
        "--patience, or it never comes to one.",
        least=1,
        unit="epochs",
    )


@dataclass(frozen=True)
class WarmStartParameters(ParameterSet):
    """The first part of the training, in which the network's forward halves learn alone.

    They are a causal network, which has a target at each position of a window. A network without
    such halves has no warm start.
    """

    share: float = parameter(
        0.8,
        "Share of epochs and time in which the forward halves of a bidirectional network learn "
        "alone, from a target at each position; 0 = the whole network learns from the start.",
        least=0,
        below=1,
        option="--warm-start",
    )
    learning_rate: float = parameter(0.01, "Peak learning rate of the warm start.", above=0)
    batch: int = parameter(
        16, "Windows per training step of the warm start, of all devices together.", least=1
    )


@dataclass(frozen=True)
class RegularisationParameters(ParameterSet):
    """What keeps a network from learning few songs by heart."""

    keys: Keys = parameter(
        "auto",
        "Learn each window in a key drawn anew each time: none, all = one of twelve, or auto = all "
        "where the songs have fewer than 100 windows for each token. A frame that the vocabulary "
        "has not in that key becomes the nearest one.",
        choices=get_args(Keys),
        option="--keys",
    )
    noise: float = parameter(
        0.1,
        "Share of the tokens in a window that are replaced by random ones while training, drawn by "
        "their frequency.",
        least=0,
        below=1,
        option="--noise",
    )
    weight_decay: float = parameter(
        0.01,
        "Share of each weight that a training step takes away, times the learning rate.",
        least=0,
        option="--weight-decay",
    )


@dataclass(frozen=True)
class ServedSettings(ParameterSet):
    """What the exported model answers besides what it learned and how the corpus was read."""

    program: int = parameter(
        0,
        "General MIDI program that songs are written with; 0 = grand piano.",
        least=0,
        most=127,
        option="--program",
    )
    sampling_seconds: float = parameter(
        20.0,
        "Time for choosing the temperature and top-p that the model recommends, at most a tenth "
        "of --max-seconds as well; 0 = the model's own distribution.",
        least=0,
        unit="seconds",
        option="--sampling-seconds",
    )
    drafter_bytes: int = parameter(
        DRAFTER_BYTES,
        "Maximum size of the n-gram that the model carries for speculative decoding; 0 = none.",
        least=0,
        unit="bytes",
    )


@dataclass(frozen=True)
class MixtureParameters(ParameterSet):
    """What the network is mixed with; see :mod:`tunesmith.components.mixture.mixture`."""

    mix: Mix = parameter(
        "all",
        "What the model predicts with: the network mixed with n-grams of the training songs and of "
        "the window itself, or the network alone.",
        choices=get_args(Mix),
        option="--mix",
    )
    table_mebibytes: float = parameter(
        64.0,
        "Maximum size of the table of n-grams; the most frequent ones are kept.",
        least=0,
        unit="MiB",
        option="--table-mib",
    )


@dataclass(frozen=True)
class TrainerParameters(ParameterSet):
    """How a network is trained; the recipe ``paper`` has the paper's values."""

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
        64, "Windows per training step, of all devices together.", least=1, option="--batch"
    )
    learning_rate: float = parameter(
        0.001, "Peak learning rate (Nadam).", above=0, option="--learning-rate"
    )
    schedule: ScheduleParameters = field(default_factory=ScheduleParameters)
    warm_start: WarmStartParameters = field(default_factory=WarmStartParameters)
    regularisation: RegularisationParameters = field(default_factory=RegularisationParameters)
    clip_norm: float | None = parameter(
        1.0,
        "Maximum global norm of the gradients; larger ones are scaled down.",
        above=0,
        option="--clip-norm",
    )
    patience: int = parameter(
        5,
        "Stop after this many epochs without a better loss on the songs set aside.",
        least=1,
        unit="epochs",
        option="--patience",
    )
    cut_share: float = parameter(
        0.1,
        "Share of the training songs that are set aside and not learned; the epoch that predicts "
        "them best is kept. 0 = judge by the songs that are learned.",
        least=0,
        below=1,
    )
    maximum_seconds: float | None = parameter(
        TRAINING_SECONDS,
        "Time limit of the whole component: reading, learning, judging and exporting. Several "
        "workers, whose clocks differ, have none.",
        above=0,
        unit="seconds",
        option="--max-seconds",
    )
    epoch_steps: int | None = parameter(
        256,
        "Maximum number of steps in an epoch; a longer pass over the windows is several epochs.",
        least=1,
        unit="steps",
    )
    seed: int = parameter(
        0, "Random seed for initialisation, dropout and shuffling.", least=0, option="--seed"
    )
    precision: Precision = parameter(
        "float32",
        "Precision of the matrix products; weights and loss are float32 in any case.",
        choices=get_args(Precision),
        option="--precision",
    )
    strategy: StrategyName = parameter(
        "none",
        "Train on one device, on every GPU of this machine, or on the workers of TF_CONFIG; each "
        "worker runs the same command with a --root of its own.",
        choices=get_args(StrategyName),
        option="--strategy",
    )
    memory_mebibytes: float = parameter(
        1024.0,
        "Memory for the windows; a larger corpus is read in shuffled blocks.",
        above=0,
        unit="MiB",
        option="--memory-mib",
    )
    mixture: MixtureParameters = field(default_factory=MixtureParameters)
    settings: ServedSettings = field(default_factory=ServedSettings)
    checkpoint_seconds: float | None = parameter(
        60.0,
        "Time between two checkpoints, besides the one after each epoch.",
        above=0,
        unit="seconds",
        option="--checkpoint-seconds",
        affects_result=False,
    )
    checkpoint_steps: int | None = parameter(
        None,
        "Save a checkpoint every this many steps as well. Workers of one training go by steps "
        "alone.",
        least=1,
        unit="steps",
        option="--checkpoint-steps",
        affects_result=False,
    )
    tensorboard: Path | None = parameter(
        None,
        "Folder of the TensorBoard logs; ROOT/tensorboard unless given.",
        option="--tensorboard-dir",
        affects_result=False,
    )

    def check(self) -> None:
        """Check that several workers are stopped by epochs."""
        is_given = self.maximum_seconds not in (None, TRAINING_SECONDS)
        if self.strategy == "multi-worker" and is_given:
            raise ParameterError(
                "maximum_seconds",
                "must be left out with several workers, whose clocks differ: limit the epochs",
            )

    @property
    def time_limit(self) -> float | None:
        """Seconds for the whole component; None without a limit."""
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
