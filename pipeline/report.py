"""The reports of runs: self-contained HTML pages that open without a network.

A run that a gate stopped has a report of its artifacts, too. An artifact is drawn by the template
of its type, :attr:`Artifact.REPORT`, which has the macros ``facts`` and ``section``. Charts are
SVG; songs come with their piano roll as PNG and a small player that synthesises the notes in the
browser.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.components.artifacts import (
    LOSS,
    NATS,
    Artifact,
    Examples,
    ModelEvaluation,
)
from tunesmith.components.charts.shapes import lines
from tunesmith.components.charts.svg import draw
from tunesmith.components.errors import ComponentError
from tunesmith.components.transform.statistics_report import coverage_chart
from tunesmith.pipeline.figures import artifact_type
from tunesmith.pipeline.history import PIPELINE_COMMANDS, Run, read_run, read_runs
from tunesmith.pipeline.lineage import read_lineage
from tunesmith.pipeline.measures_chart import measure_rows

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

REPORTS = "reports"
"""The folder of a root with the report of every run, and an index of them."""

INDEX = "index.html"
_TO_INDEX = f'href="{INDEX}"'
"""The link to the index, in a report that lies beside it."""

SONGS = 3
"""Number of the Evaluator's songs that the page plays if no others are given."""


@dataclass(frozen=True)
class ReportedSong:
    """A generated song in the report.

    Args:
        title: one line about it.
        picture: its piano roll as PNG.
        notes: (pitch, start, end) of each note, times in seconds.
    """

    title: str
    picture: bytes
    notes: tuple[tuple[int, float, float], ...]


ShowSong = Callable[[Sequence[tuple[int, ...]], float], ReportedSong]
"""Returns a reported song, from the pitches of each frame and the frames per second."""


@dataclass(frozen=True)
class _Section:
    """The section of an artifact.

    Args:
        component: name of the component that wrote the artifact.
        artifact: the artifact.
        figures: of the artifact.
    """

    component: str
    artifact: Artifact
    figures: Mapping[str, float]

    @property
    def template(self) -> str:
        return self.artifact.REPORT


def write_report(
    root: Path,
    songs: Iterable[ReportedSong] = (),
    run: int | None = None,
    now: datetime | None = None,
    show: ShowSong | None = None,
) -> Path:
    """Write the report of a run to ``reports/<run>.html``, and the index of all reports.

    The report of the newest run is ``report.html`` as well.

    Args:
        root: of the pipeline.
        songs: songs to play; if there are none, those that the Evaluator measured.
        show: draws the songs that the Evaluator measured; without it they are left out.
        run: ID of the run; None for the newest run of the whole pipeline.
        now: the time in the report; None for the present.

    Returns:
        ``report.html`` for the newest run of the pipeline, ``reports/<run>.html`` for an older one.

    Raises:
        ComponentError: there is no such run.
        OSError: a page cannot be written.
    """
    runs = read_runs(root)
    newest = max((each.id for each in runs if each.command in PIPELINE_COMMANDS), default=None)
    if run is None and newest is None:
        raise ComponentError(
            f"{root} has no recorded run of the pipeline: start one with tunesmith run"
        )
    reported = read_run(root, run if run is not None else newest or 0)
    made = _utc((now or datetime.now(UTC)).timestamp())
    folder = root / REPORTS
    folder.mkdir(exist_ok=True)
    sections = _sections(root, reported)
    played = list(songs)
    if not played and show is not None:
        played = _measured_songs([each.artifact for each in sections], show)
    page = _page(root, reported, sections, played, made)
    path = folder / f"{reported.id}.html"
    _write(path, page)
    if reported.id == newest:
        path = root / "report.html"
        _write(path, page.replace(_TO_INDEX, f'href="{REPORTS}/{INDEX}"'))
    _write(folder / INDEX, _index(runs, folder, made))
    return path


def _page(
    root: Path,
    run: Run,
    sections: Sequence[_Section],
    songs: Sequence[ReportedSong],
    made: str,
) -> str:
    return (
        _environment()
        .get_template("report.html")
        .render(
            run=run,
            made=made,
            sections=[each for each in reversed(sections) if each.template],
            songs=[_embedded(song) for song in songs],
            inputs={step.execution: _inputs(root, step.execution) for step in run.steps},
        )
    )


def _index(runs: Sequence[Run], folder: Path, made: str) -> str:
    reported = {run.id for run in runs if (folder / f"{run.id}.html").is_file()}
    return (
        _environment()
        .get_template("index.html")
        .render(runs=runs, reported=reported, made=made, nats=NATS, loss=LOSS)
    )


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, select_autoescape

    environment = Environment(
        loader=PackageLoader("tunesmith.pipeline", "templates"),
        autoescape=select_autoescape(),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "utc": _utc,
        "loss_chart": loss_chart,
        "measure_rows": measure_rows,
        "coverage_chart": _coverage_chart,
    }
    return environment


def _write(path: Path, text: str) -> None:
    """Write a page atomically."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def _sections(root: Path, run: Run) -> list[_Section]:
    """Return the existing artifacts of a run, in the order of the pipeline."""
    found = []
    for step in run.steps:
        kind = artifact_type(step.type or "")
        if kind is not None and step.artifact and (root / step.artifact).is_dir():
            artifact = kind(root / step.artifact, step.digest or "")
            found.append(_Section(step.component, artifact, step.figures))
    return found


def _measured_songs(artifacts: Sequence[Artifact], show: ShowSong) -> list[ReportedSong]:
    """Return songs that the Evaluator measured, at the speed of the examples."""
    evaluations = [each for each in artifacts if isinstance(each, ModelEvaluation)]
    examples = [each for each in artifacts if isinstance(each, Examples)]
    if not evaluations or not examples:
        return []
    from tunesmith.music import TrackChoice
    from tunesmith.music.grid import Grid
    from tunesmith.music.reading import read_song

    speed = examples[-1].vocabulary().frames_per_second
    paths = [evaluations[-1].path / name for name in evaluations[-1].content()["songs"][:SONGS]]
    readings = [read_song(path, TrackChoice("all"), Grid(speed)) for path in paths]
    return [show(each.frames, speed) for each in readings]


def _embedded(song: ReportedSong) -> dict[str, str]:
    return {
        "title": song.title,
        "picture": base64.b64encode(song.picture).decode(),
        "notes": json.dumps(song.notes),
    }


def _inputs(root: Path, execution: int) -> dict[str, int | str]:
    """Return the execution that wrote each input, or the path of a folder of the user."""
    inputs = read_lineage(str(execution), root).executions[-1].inputs
    return {name: artifact.execution or artifact.path for name, artifact in inputs.items()}


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def loss_chart(history: Mapping[str, Any]) -> Markup:
    """Return the losses of a ``history.json`` by epoch as SVG.

    The axis on the left has nats per window, the one on the right the paper's sum over a batch.
    """
    epochs, batch = history["epochs"], history["parameters"]["batch"]
    chart = lines(
        "Loss by epoch",
        "epoch",
        "nats per window",
        [each["epoch"] for each in epochs],
        {
            "training": [each["train_loss"] for each in epochs],
            "validation": [each["cut_loss"] for each in epochs],
        },
        (history["best_epoch"], "best epoch"),
        (f"nats per batch of {batch}", batch),
    )
    return draw(chart)


def _coverage_chart(statistics: Mapping[str, Any]) -> Markup | str:
    chart = coverage_chart(statistics["vocabulary_coverage"], statistics["vocabulary_size"])
    return draw(chart) if chart is not None else ""
