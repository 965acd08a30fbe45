"""A chart of the model's songs compared with the corpus, a row for each measure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tunesmith.components.trainer.loss_curve import CUT, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW_INCHES = 0.42
RANGE, MIDDLE = "#e1e4ea", "#b9c0cc"


def draw_measures(figure: Figure, music: Mapping[str, Any]) -> None:
    """Draw each measure on its own scale: quantiles of the corpus, songs of the model as dots.

    Args:
        figure: an empty figure; its height is set here.
        music: of an ``evaluation.json``, at least one measure.
    """
    figure.set_figheight(ROW_INCHES * len(music) + 0.2)
    rows = figure.subplots(len(music), 1, squeeze=False)[:, 0]
    for axes, (name, measure) in zip(rows, music.items(), strict=True):
        _draw_row(axes, name, measure)


def _draw_row(axes: Axes, name: str, measure: Mapping[str, Any]) -> None:
    corpus = measure["corpus"]
    # Without margins, dots at the ends of the range would be cut off.
    axes.use_sticky_edges = False
    axes.margins(x=0.03)
    for low, high, color in (
        ("low", "high", RANGE),
        ("lower_quartile", "upper_quartile", MIDDLE),
    ):
        if corpus.get(low) is not None and corpus.get(high) is not None:
            axes.barh(0, corpus[high] - corpus[low], left=corpus[low], height=1, color=color)
    if corpus["median"] is not None:
        axes.plot([corpus["median"]] * 2, [-0.5, 0.5], color=INK, lw=2)
    values = [value for value in measure["model"]["values"] if value is not None]
    # Dots of equal values would overlap: they are spread over the height of the row.
    heights = [((7 * place) % 11 - 5) / 15 for place in range(len(values))]
    axes.plot(values, heights, "o", ms=3.5, color=CUT, alpha=0.7)
    axes.set_yticks([0], [name.replace("_", " ")])
    axes.set_ylim(-0.6, 0.6)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right", "left"]].set_visible(False)
