"""The loss against the epoch, drawn as the paper draws it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#2b303b"
TRAIN = "#3f7cac"
CUT = "#e4572e"


def draw_losses(axes: Axes, epochs: Sequence[dict[str, Any]], best_epoch: int) -> None:
    """Draw the losses by epoch, in nats a window.

    Args:
        axes: where.
        epochs: ``epoch``, ``train_loss`` and ``cut_loss`` of each.
        best_epoch: the one that is kept.
    """
    from matplotlib.ticker import MaxNLocator

    numbers = [each["epoch"] for each in epochs]
    axes.plot(numbers, [each["train_loss"] for each in epochs], "o-", ms=4, color=TRAIN)
    axes.plot(numbers, [each["cut_loss"] for each in epochs], "o-", ms=4, color=CUT)
    axes.axvline(best_epoch, color=INK, lw=1, ls=":")
    axes.legend(["songs learned", "songs set aside", "epoch kept"], frameon=False)
    axes.set_xlabel("epoch")
    axes.set_ylabel("cross-entropy, nats a window")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(bottom=0)


def write_loss_curve(
    path: Path, epochs: Sequence[dict[str, Any]], best_epoch: int, batch: int
) -> None:
    """Write the losses as PNG; the second scale is the paper's, the loss summed over a batch.

    Args:
        path: the file.
        epochs: see :func:`draw_losses`.
        best_epoch: the one that is kept.
        batch: windows in a batch.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines["top"].set_visible(False)
    axes.grid(alpha=0.25)
    draw_losses(axes, epochs, best_epoch)
    scale: Any = (lambda loss: loss * batch, lambda total: total / batch)
    summed = axes.secondary_yaxis("right", functions=scale)
    summed.set_ylabel(f"summed over a batch of {batch}, nats")
    figure.savefig(path, format="png", metadata={"Software": None})
