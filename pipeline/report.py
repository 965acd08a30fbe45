"""The report of a run: one self-contained HTML page that opens without a network.

It is drawn from the record and the artifacts, so a run that a gate stopped has one, too, with what
there was by then. The page is a jinja2 template with autoescaping; curves are matplotlib's SVG,
songs come with their piano roll as PNG and a small player that synthesises the notes in the
browser.
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

from tunesmith.components.artifacts import (
    ExampleAnomalies,
    Examples,
    InfraBlessing,
    ModelEvaluation,
    Sequences,
    TrainedModel,
)
from tunesmith.components.trainer.loss_curve import TRAIN, draw_losses
from tunesmith.pipeline.history import Run, read_runs
from tunesmith.pipeline.lineage import read_lineage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tunesmith.client import Song

SONGS = 3
"""Songs of the Evaluator that the page plays where no others are given."""


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

    @classmethod
    def of(cls, song: Song) -> ReportedSong:
        """Return `song` as the report shows it."""
        speed = song.frames_per_second
        notes = tuple((note.pitch, note.start / speed, note.end / speed) for note in song.notes)
        return cls(song.summary(), song.picture(), notes)


def write_report(
    path: Path,
    root: Path,
    songs: Iterable[ReportedSong] = (),
    now: datetime | None = None,
) -> None:
    """Write the report of the last run in `root` to `path`.

    Args:
        path: the HTML file.
        root: the pipeline's.
        songs: what to hear; those that the Evaluator measured if there are none.
        now: the time that the report states; the present one if None.

    Raises:
        ComponentError: there is no record of a run.
    """
    from jinja2 import Environment, PackageLoader, select_autoescape

    (run,) = read_runs(root, last=1)
    folders = {step.component: root / step.artifact for step in run.steps if step.artifact}
    page: dict[str, Any] = {}
    if "ExampleGen" in folders:
        page["summary"] = Sequences(folders["ExampleGen"], "").summary()
    if "Transform" in folders:
        page["statistics"] = Examples(folders["Transform"], "").statistics()
        page["coverage_svg"] = coverage_curve(page["statistics"]["vocabulary_coverage"])
    if "ExampleValidator" in folders:
        page["anomalies"] = ExampleAnomalies(folders["ExampleValidator"], "").content()
    if "Trainer" in folders:
        page["training"] = _training(TrainedModel(folders["Trainer"], ""))
    if "Evaluator" in folders:
        page["evaluation"] = ModelEvaluation(folders["Evaluator"], "").content()
        speed = Examples(folders["Transform"], "").vocabulary().frames_per_second
        songs = list(songs) or _measured_songs(
            folders["Evaluator"], page["evaluation"]["songs"], speed
        )
    if "InfraValidator" in folders:
        page["infra"] = InfraBlessing(folders["InfraValidator"], "").content()
    environment = Environment(
        loader=PackageLoader("tunesmith.pipeline", "templates"),
        autoescape=select_autoescape(),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("report.html").render(
        **page | {"songs": [_embedded(song) for song in songs]},
        made=(now or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC"),
        run=run,
        steps=_steps(run, root),
    )
    path.write_text(text, encoding="utf-8")


def _training(model: TrainedModel) -> dict[str, Any]:
    history = model.history()
    epochs, best_epoch = history["epochs"], history["best_epoch"]
    return {
        **history,
        "best": next(each for each in epochs if each["epoch"] == best_epoch),
        "loss_svg": loss_curve(epochs, best_epoch),
    }


def _measured_songs(folder: Path, names: Sequence[str], speed: float) -> list[ReportedSong]:
    from tunesmith.client import Song
    from tunesmith.music import TrackChoice
    from tunesmith.music.grid import Grid
    from tunesmith.music.reading import read_song

    grid = Grid(speed)
    readings = [read_song(folder / name, TrackChoice("all"), grid) for name in names[:SONGS]]
    return [ReportedSong.of(Song(tuple(each.frames), speed)) for each in readings]


def _embedded(song: ReportedSong) -> dict[str, str]:
    return {
        "title": song.title,
        "picture": base64.b64encode(song.picture).decode(),
        "notes": json.dumps(song.notes),
    }


def _steps(run: Run, root: Path) -> list[dict[str, Any]]:
    """Return what the page tells of each step: the record's facts and everything it was told."""
    found = []
    for step in run.steps:
        execution = read_lineage(str(step.execution), root).executions[-1]
        found.append(
            {
                "step": step,
                "parameters": json.dumps(execution.parameters, indent=2),
                "code": execution.code,
                "inputs": {
                    name: artifact.execution or artifact.path
                    for name, artifact in execution.inputs.items()
                },
            }
        )
    return found


def loss_curve(epochs: Sequence[dict[str, Any]], best_epoch: int) -> str:
    """Return the losses by epoch, in nats a window, as SVG."""
    return _svg(lambda axes: draw_losses(axes, epochs, best_epoch))


def coverage_curve(points: Sequence[tuple[int, float]]) -> str:
    """Return the share of the training frames that vocabularies of growing size hold, as SVG."""

    def draw(axes: Axes) -> None:
        axes.plot(*zip(*points, strict=True), color=TRAIN)
        axes.set_xlabel("tokens: the rest and the most frequent frames")
        axes.set_ylabel("share of all frames")
        axes.set_ylim(0, 1.02)
        axes.set_xscale("log")
        axes.set_xlim(left=1)

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
