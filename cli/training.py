"""The options that say how a model is trained; the defaults are the paper's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tunesmith.cli.options import FOLDER, Command, add_options, given

if TYPE_CHECKING:
    from tunesmith.components.trainer.executor import TrainerParameters, Upkeep

# The names are those of components.schedule, learner and distribution, which are not imported for
# a --help.
_OPTIONS = (
    click.option("--epochs", type=int, default=50, show_default=True, help="Epochs at most."),
    click.option("--batch", type=int, default=64, show_default=True, help="Windows in a step."),
    click.option(
        "--learning-rate",
        type=float,
        default=0.001,
        show_default=True,
        help="Of Nadam, at its highest.",
    ),
    click.option(
        "--schedule",
        "shape",
        type=click.Choice(["constant", "cosine", "plateau"]),
        default="constant",
        show_default=True,
        help="How the learning rate moves: not at all; along a cosine to 0 at the last of "
        "--epochs; halved whenever the held-out loss stays for 2 epochs.",
    ),
    click.option(
        "--warmup-steps",
        type=int,
        default=0,
        show_default=True,
        help="Steps over which the learning rate rises first.",
    ),
    click.option("--clip-norm", type=float, help="Largest global norm of the gradients."),
    click.option(
        "--patience",
        type=int,
        default=5,
        show_default=True,
        help="Epochs without a better held-out loss before training stops.",
    ),
    click.option(
        "--max-seconds",
        "maximum_seconds",
        type=float,
        help="Stop training after so much time.",
    ),
    click.option("--seed", type=int, default=0, show_default=True, help="Of training."),
    click.option(
        "--precision",
        type=click.Choice(["float32", "bfloat16"]),
        default="float32",
        show_default=True,
        help="Of the products while training; weights and loss are float32 in any case.",
    ),
    click.option(
        "--strategy",
        type=click.Choice(["none", "mirrored", "multi-worker"]),
        default="none",
        show_default=True,
        help="Train on one device, on every GPU of this machine, or on the workers of TF_CONFIG; "
        "each worker runs the same command with a --root of its own.",
    ),
    click.option(
        "--memory-mib",
        "memory_mebibytes",
        type=float,
        default=1024,
        show_default=True,
        help="Memory for the windows; a corpus that needs more is read in shuffled blocks.",
    ),
    click.option("--embedding", type=int, default=100, show_default=True, help="Width of a token."),
    click.option(
        "--units", type=int, default=128, show_default=True, help="Width of a GRU direction."
    ),
    click.option(
        "--layers", type=int, default=3, show_default=True, help="Bidirectional GRU layers."
    ),
    click.option(
        "--dense", type=int, default=64, show_default=True, help="Width before the softmax."
    ),
    click.option("--dropout", type=float, default=0.3, show_default=True, help="After each layer."),
    click.option(
        "--checkpoint-seconds",
        type=float,
        default=60.0,
        show_default=True,
        help="Between two checkpoints, besides the one after each epoch.",
    ),
    click.option(
        "--checkpoint-steps", type=int, help="Save a checkpoint each so many steps as well."
    ),
    click.option(
        "--tensorboard-dir",
        "tensorboard",
        type=FOLDER,
        help="Folder of TensorBoard's logs.  [default: ROOT/tensorboard]",
    ),
)


def training_options(command: Command) -> Command:
    """Add the options that say how a model is trained."""
    return add_options(command, _OPTIONS)


def trainer_parameters(options: dict[str, Any]) -> TrainerParameters:
    """Return what the options say of the result.

    Raises:
        ValueError: a value is out of range.
    """
    from tunesmith.components.networks.paper.keras_model import Architecture
    from tunesmith.components.trainer.executor import TrainerParameters
    from tunesmith.components.trainer.export.saved_model import ServedSettings
    from tunesmith.components.trainer.schedule import Schedule

    return TrainerParameters(
        architecture=Architecture(**given(Architecture, options)),
        settings=ServedSettings(**given(ServedSettings, options)),
        **{**given(TrainerParameters, options), "schedule": Schedule(**given(Schedule, options))},
    )


def upkeep(options: dict[str, Any]) -> Upkeep:
    """Return what the options say of checkpoints and logs.

    Raises:
        ValueError: a value is out of range.
    """
    from tunesmith.components.trainer.executor import Upkeep

    return Upkeep(**given(Upkeep, options))
