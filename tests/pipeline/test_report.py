"""The reports of runs: one page each, kept, an index of them, and the newest in the root."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from toy_components import Learning, OfSong

from tunesmith.components.artifacts import Artifact, Blessing, ModelEvaluation, TrainedModel
from tunesmith.components.component import Component, ParameterSet, parameter
from tunesmith.components.errors import ComponentError, GateClosed
from tunesmith.components.progress import SilentProgress
from tunesmith.pipeline.report import ReportedSong, write_report
from tunesmith.pipeline.runner import Runner

NOW = datetime(2026, 5, 4, 3, 2, tzinfo=UTC)


class Finding(Blessing):
    """Whether a song is short enough; drawn as any gate's finding is."""

    FILE = "finding.json"


@dataclass(frozen=True)
class Longest(ParameterSet):
    longest: int = parameter(9, "Notes at most.")


GATE: Component[Any, Any, Finding] = Component(
    "Judge", OfSong, Longest, Finding, "toy_executors:judge"
)
LEARN: Component[Any, Any, TrainedModel] = Component(
    "Learn", OfSong, Learning, TrainedModel, "toy_executors:learn"
)

MEASURE: Component[Any, Any, ModelEvaluation] = Component(
    "Measure", OfSong, Longest, ModelEvaluation, "toy_executors:measure"
)


def run(root: Path, longest: int = 9, command: str = "run", model: bool = False) -> None:
    song = root.parent / "song"
    song.mkdir(exist_ok=True)
    (song / "song").write_text("CD<E")
    with Runner(root, SilentProgress(), command=command) as runner:
        if model:
            runner.run(LEARN, OfSong(Artifact(song, "v1")), Learning())
        runner.run(GATE, OfSong(Artifact(song, "v1")), Longest(longest))


class Page(HTMLParser):
    """A page's text without markup, and what it refers to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.words: list[str] = []
        self.references: list[str] = []
        self.feed(path.read_text("utf-8"))
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del tag
        names = ("href", "src")
        self.references += [value or "" for name, value in attrs if name in names]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def test_each_run_keeps_its_report_and_the_newest_stands_in_the_root(root: Path) -> None:
    run(root)
    assert write_report(root, now=NOW) == root / "report.html"
    first = (root / "reports" / "1.html").read_text()
    run(root, longest=8)
    write_report(root, now=NOW)
    assert (root / "reports" / "1.html").read_text() == first
    newest = Page(root / "report.html")
    assert newest.text == Page(root / "reports" / "2.html").text
    assert "Run 2: complete" in newest.text
    assert "Made 2026-05-04 03:02 UTC" in newest.text
    assert newest.references == ["reports/index.html"]
    assert Page(root / "reports" / "2.html").references == ["index.html"]
    assert sorted(path.name for path in (root / "reports").iterdir()) == [
        "1.html",
        "2.html",
        "index.html",
    ]


def test_the_index_lists_every_run_and_links_its_report(root: Path) -> None:
    run(root, model=True)
    write_report(root)
    run(root, longest=8, command="component Judge")
    with pytest.raises(GateClosed):
        run(root, longest=1)
    write_report(root)
    index = Page(root / "reports" / "index.html")
    assert index.references == ["3.html", "1.html"]
    rows = re.findall(r"<tr><td.*?</tr>", (root / "reports" / "index.html").read_text(), re.S)
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows]
    assert [(row[0], row[1]) for row in cells] == [
        ("3", "run"),
        ("2", "component Judge"),
        ("1", "run"),
    ]
    assert "refused" in cells[0][3]
    assert [row[5] for row in cells] == ["–", "–", "2.500"]


def test_a_gate_that_stopped_the_run_is_drawn_with_its_checks(root: Path) -> None:
    with pytest.raises(GateClosed):
        run(root, longest=1)
    text = Page(write_report(root)).text
    assert "Run 1: refused" in text
    assert "Judge: not blessed" in text
    assert "short failed the song has 4 notes: at most 1" in text


def test_songs_are_drawn_beside_the_corpus_and_those_within_it_counted(root: Path) -> None:
    run(root)
    with Runner(root, SilentProgress(), command="run") as runner:
        runner.run(MEASURE, OfSong(Artifact(root.parent / "song", "v1")), Longest())
    page = write_report(root)
    text = Page(page).text
    assert "rest share frames in which nothing sounds" in text
    assert "0.625 0.625 0.000 0.100 0.200 0.300 0.400 share 1 of 2" in text
    assert "Each of 2 songs of 300 frames is a dot" in text
    assert page.read_text("utf-8").count("<svg") == 1


def test_parameters_and_inputs_of_each_execution_are_told(root: Path) -> None:
    run(root)
    text = Page(write_report(root)).text
    assert '{ "longest": 9 }' in text
    assert f"song {root.parent / 'song'}" in text


def test_an_artifact_that_is_gone_leaves_its_row_alone(root: Path) -> None:
    run(root)
    (root / "Judge" / "1" / "finding.json").unlink()
    (root / "Judge" / "1").rmdir()
    text = Page(write_report(root)).text
    assert "blessed" not in text
    assert "Judge complete" in text


def test_an_older_run_can_be_drawn_again(root: Path) -> None:
    run(root)
    run(root, longest=8)
    write_report(root)
    assert write_report(root, run=1) == root / "reports" / "1.html"
    assert "Run 2" in Page(root / "report.html").text
    with pytest.raises(ComponentError, match="there is no run 7"):
        write_report(root, run=7)


def test_a_component_or_a_rollback_after_the_run_is_not_the_newest_report(root: Path) -> None:
    run(root)
    run(root, longest=8, command="component Judge")
    assert "Run 1" in Page(write_report(root)).text


def test_without_a_run_of_the_pipeline_there_is_no_report(root: Path) -> None:
    run(root, command="component Judge")
    with pytest.raises(ComponentError, match="has no recorded run of the pipeline"):
        write_report(root)


def test_songs_can_be_heard_and_nothing_in_a_title_is_markup(root: Path) -> None:
    run(root)
    song = ReportedSong("<b>loud</b>", b"\x89PNG", ((60, 0.0, 0.5),))
    page = write_report(root, [song])
    assert "&lt;b&gt;loud&lt;/b&gt;" in page.read_text()
    assert 'data-notes="[[60, 0.0, 0.5]]"' in page.read_text()
    assert any(each.startswith("data:image/png;base64,") for each in Page(page).references)
