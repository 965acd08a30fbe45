"""The report of a run: one self-contained HTML page that opens without a network.

The page is a jinja2 template with autoescaping; curves are matplotlib's SVG, songs come with their
piano roll as PNG and a small player that synthesises the notes in the browser.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.components.artifacts import Examples, TrainedModel
from tunesmith.components.job_report import read_summary
from tunesmith.components.loss_curve import TRAIN, draw_losses
from tunesmith.components.windows import read_tokens

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tunesmith.music import Vocabulary

FREQUENT_FRAMES = 30


@dataclass(frozen=True)
class ReportedSong:
    """A generated song as the report shows it.

    Args:
        title: one line about it.
        picture: its piano roll as PNG.
        notes: (pitch, start, end) of each note, times in seconds.
    """

    title: str
    picture: bytes
    notes: tuple[tuple[int, float, float], ...]


def write_report(
    path: Path,
    sequences: Path,
    examples: Examples,
    model: TrainedModel,
    songs: Iterable[ReportedSong],
    now: datetime | None = None,
) -> None:
    """Write the report of a run to `path`.

    Args:
        path: the HTML file.
        sequences: ExampleGen's artifact folder, which holds the summary of rejections.
        examples: Transform's artifact.
        model: Trainer's artifact.
        songs: what the pushed model composed.
        now: the time that the report states; the present one if None.
    """
    from jinja2 import Environment, PackageLoader, select_autoescape

    history = model.history()
    vocabulary = examples.vocabulary()
    counts = _frame_counts(examples, len(vocabulary))
    environment = Environment(
        loader=PackageLoader("tunesmith.pipeline", "templates"), autoescape=select_autoescape()
    )
    page = environment.get_template("report.html").render(
        made=(now or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC"),
        summary=read_summary(sequences),
        statistics=examples.statistics(),
        history=history,
        best=next(e for e in history["epochs"] if e["epoch"] == history["best_epoch"]),
        loss_svg=loss_curve(history["epochs"], history["best_epoch"]),
        coverage_svg=coverage_curve(counts),
        frequent=_frequent(counts, vocabulary),
        songs=[
            {
                "title": song.title,
                "picture": base64.b64encode(song.picture).decode(),
                "notes": json.dumps(song.notes),
            }
            for song in songs
        ],
    )
    path.write_text(page, encoding="utf-8")


def loss_curve(epochs: Sequence[dict[str, Any]], best_epoch: int) -> str:
    """Return the losses by epoch, in nats a window, as SVG."""
    return _svg(lambda axes: draw_losses(axes, epochs, best_epoch))


def coverage_curve(counts: np.ndarray[Any, np.dtype[np.int64]]) -> str:
    """Return the share of the training frames that the most frequent n tokens cover, as SVG."""
    share = np.cumsum(np.sort(counts)[::-1]) / max(counts.sum(), 1)

    def draw(axes: Axes) -> None:
        axes.plot(np.arange(1, len(share) + 1), share, color=TRAIN)
        axes.set_xlabel("most frequent frames")
        axes.set_ylabel("share of all frames")
        axes.set_ylim(0, 1.02)
        axes.set_xlim(left=1)
        axes.set_xscale("log")

    return _svg(draw)


def _svg(draw: Callable[[Axes], None]) -> str:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    draw(axes)
    text = io.StringIO()
    FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None})
    # Without the XML prologue the drawing can stand inside a page.
    return text.getvalue()[text.getvalue().index("<svg") :]


def _frame_counts(examples: Examples, size: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return how often each token stands in the training split, int64 [V]."""
    songs = read_tokens(examples.shards("train"))
    return sum((np.bincount(song, minlength=size) for song in songs), np.zeros(size, np.int64))


def _frequent(
    counts: np.ndarray[Any, np.dtype[np.int64]], vocabulary: Vocabulary
) -> list[dict[str, Any]]:
    order = np.argsort(-counts, kind="stable")[:FREQUENT_FRAMES]
    top = max(int(counts.max(initial=0)), 1)
    return [
        {
            "name": vocabulary.names[token],
            "count": int(counts[token]),
            "share": float(counts[token]) / max(int(counts.sum()), 1),
            "width": 100 * float(counts[token]) / top,
        }
        for token in order
    ]
