"""The report of a collection: what stands on the page, whatever the files are called."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunesmith.components.charts.svg import COLOURS
from tunesmith.components.records.songs import SongFrames
from tunesmith.components.transform.statistics import SplitStatistics, coverage_curve, describe
from tunesmith.components.transform.statistics_report import (
    LISTED_REJECTIONS,
    duration,
    note_name,
    render_report,
    write_report,
)
from tunesmith.music import Frame, TrackChoice, Vocabulary
from tunesmith.music.frames import pack_frames, packed_keys, unpack_frames
from tunesmith.music.reading import read_song


class Page(HTMLParser):
    """A page as a browser reads it: its elements, and its text."""

    VOID = frozenset({"meta"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and "style" not in self.open:
            self.text.append(" ".join(data.split()))


def encode(songs: list[SongFrames], vocabulary: Vocabulary) -> SplitStatistics:
    counted = []
    for song in songs:
        tokens, mapped = vocabulary.encode_packed(song.distinct)
        counted.append(SplitStatistics.of_song(song, tokens[song.ids], mapped[song.ids]))
    return SplitStatistics.merge(counted)


def describe_songs(songs: dict[str, list[SongFrames]], maximum: int = 1000) -> dict[str, Any]:
    """Return the statistics of songs by split, as a preprocessing job has them."""
    counts: Counter[bytes] = Counter()
    for song in songs.get("train", []):
        occurs = np.bincount(song.ids, minlength=len(song.distinct)).tolist()
        counts.update(dict(zip(packed_keys(song.distinct), occurs, strict=True)))
    packed = np.frombuffer(b"".join(counts), dtype=np.uint8).reshape(-1, 16)
    heard = dict(zip(unpack_frames(packed), counts.values(), strict=True))
    vocabulary = Vocabulary.from_counts(heard, 5.0, maximum)
    return describe(
        {name: encode(listed, vocabulary) for name, listed in songs.items()},
        vocabulary_size=len(vocabulary),
        distinct_sounding_frames=len(heard) - (() in heard),
        coverage=coverage_curve(counts, len(vocabulary)),
    )


def song(*frames: Frame) -> SongFrames:
    distinct = sorted(set(frames))
    ids = np.array([distinct.index(frame) for frame in frames], dtype=np.int32)
    return SongFrames(b"a.mid", pack_frames(distinct), ids, 5.0)


def summary_of(statistics: dict[str, Any], **rejected: int) -> dict[str, Any]:
    songs = {name: split["songs"] for name, split in statistics["splits"].items()}
    return {"songs": songs, "rejected": rejected}


SMALL = describe_songs(
    {"train": [song((60,), (60,), (), (64, 67)), song((62,))], "eval": [song((61,), (60,))]}
)


def rejection(path: str, detail: str = "EOFError", reason: str = "malformed") -> str:
    # As the job writes it: JSON in ASCII, undecodable bytes as lone surrogates.
    return json.dumps({"path": path, "reason": reason, "detail": detail})


def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing() -> None:
    html = render_report(SMALL, summary_of(SMALL), [])
    page = Page(html)
    assert not page.elements.keys() & {"script", "link", "img", "iframe", "object", "base"}
    names = {name for name, _ in page.attributes}
    assert not {name for name in names if name.startswith("on")} | (names & {"src", "href"})
    assert not re.search(r"https?:|url\(|@import", html)


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>.mid",
        "\"><img src=x onerror='alert(1)'>.mid",
        "{{ 7 * 7 }} &amp; {% raw %}.mid",
        "ünïcödé/歌/שיר/أغنية.mid",
    ],
)
def test_names_of_files_are_shown_and_never_obeyed(name: str) -> None:
    clean = render_report(SMALL, summary_of(SMALL, malformed=1), [rejection("plain")])
    html = render_report(SMALL, summary_of(SMALL, malformed=1), [rejection(name, detail=name)])
    page = Page(html)
    assert page.text.count(name) == 2
    assert page.elements == Page(clean).elements


def test_reasons_and_splits_are_never_obeyed_either() -> None:
    odd = "<b>odd</b>"
    statistics = SMALL | {"splits": SMALL["splits"] | {odd: SMALL["splits"]["eval"]}}
    html = render_report(statistics, summary_of(statistics, **{odd: 3}), [])
    assert odd in Page(html).text
    assert odd not in html


def test_bytes_that_are_no_text_are_spelt_out(tmp_path: Path) -> None:
    lines = [rejection("caf\udce9\n\x1b[31m.mid")]
    write_report(SMALL, summary_of(SMALL, malformed=1), lines, tmp_path / "report.html")
    assert "caf\\udce9\\x0a\\x1b[31m.mid" in (tmp_path / "report.html").read_text("utf-8")


def test_the_direction_of_a_name_ends_with_the_name() -> None:
    html = render_report(SMALL, summary_of(SMALL, malformed=1), [rejection("a\u202eb.mid")])
    assert "<bdi>a\u202eb.mid</bdi>" in html


def test_the_first_files_left_out_are_listed_and_all_are_counted(tmp_path: Path) -> None:
    count = 3 * LISTED_REJECTIONS
    lines = [rejection(f"{number:04d}.mid") for number in range(count)]
    (tmp_path / "rejected.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    summary = summary_of(SMALL, malformed=count - 1, duplicate=1)
    write_report(SMALL, summary, tmp_path / "rejected.jsonl", tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text("utf-8")
    assert html == render_report(SMALL, summary, lines)
    text = Page(html).text
    listed = [each for each in text if re.fullmatch(r"\d{4}\.mid", each)]
    assert listed == [f"{number:04d}.mid" for number in range(LISTED_REJECTIONS)]
    assert text[text.index("malformed") + 1] == str(count - 1)
    assert text[text.index("duplicate") + 1] == "1"
    assert f"The first {LISTED_REJECTIONS} of {count}; rejected.jsonl lists them all." in text


def test_a_long_detail_is_cut() -> None:
    html = render_report(SMALL, summary_of(SMALL, malformed=1), [rejection("a.mid", "x" * 10**6)])
    assert len(html) < 10**5


def test_where_every_file_could_be_used_the_page_says_so() -> None:
    assert "Every file could be used." in Page(render_report(SMALL, summary_of(SMALL), [])).text


def row(text: list[str], name: str, columns: int = 2) -> list[str]:
    at = text.index(name, text.index("Splits"))
    return text[at + 1 : at + 1 + columns]


def test_the_table_holds_the_numbers_of_each_split() -> None:
    text = Page(render_report(SMALL, summary_of(SMALL), [])).text
    assert row(text, "songs") == ["2", "1"]
    assert row(text, "music") == ["1.0 s", "0.4 s"]
    assert row(text, "frames") == ["5", "2"]
    assert row(text, "longest song") == ["0.8 s", "0.4 s"]
    assert row(text, "rests") == ["20.0 %", "0.0 %"]
    assert row(text, "repeats") == ["20.0 %", "50.0 %"]
    assert row(text, "pitches") == ["C4 to G4", "C4 to C♯4"]
    assert row(text, "sounding together, mean") == ["1.25", "1.00"]
    assert row(text, "sounding together, most") == ["2", "1"]
    outside = text.index("Outside the vocabulary")
    assert text[outside + 1 : outside + 5] == ["train", "0.0 %", "eval", "50.0 %"]


def test_charts_tell_their_values_where_they_are_pointed_at() -> None:
    text = Page(render_report(SMALL, summary_of(SMALL), [])).text
    assert "C4 (60): train 40.0 %, eval 50.0 %" in text
    assert "2: train 20.0 %, eval 0.0 %" in text
    assert "from 0:00: train 100.0 %, eval 100.0 %" in text
    assert "4 tokens: 100.0 %" in text
    assert "this vocabulary: 4" in text


def test_a_third_split_has_its_column_its_colour_and_its_bar() -> None:
    statistics = describe_songs(
        {"train": [song((60,), ())], "eval": [song((61,))], "test": [song((62,), (60,))]}
    )
    html = render_report(statistics, summary_of(statistics), [])
    text = Page(html).text
    assert row(text, "pitches", 3) == ["C4 to C4", "C♯4 to C♯4", "C4 to D4"]
    assert COLOURS[2] in html
    assert "test" in text


def test_a_split_without_songs_leaves_its_cells_empty() -> None:
    statistics = describe_songs({"train": [song((60,), ())], "eval": []})
    html = render_report(statistics, summary_of(statistics), [])
    text = Page(html).text
    assert row(text, "songs") == ["1", "0"]
    assert row(text, "pitches") == ["C4 to C4", "–"]
    assert Page(html).elements["svg"] == 4


def test_a_collection_without_songs_has_a_page() -> None:
    statistics = describe_songs({"train": [], "eval": []})
    page = Page(render_report(statistics, summary_of(statistics, malformed=1), [rejection("a")]))
    assert page.elements["svg"] == 0
    assert page.text.count("There is nothing to draw.") == 4


def test_songs_in_several_keys_are_told_from_songs() -> None:
    said = "The 2 training songs are counted in each of their keys."
    once = render_report(SMALL, {"songs": {"train": 2, "eval": 1}, "rejected": {}}, [])
    keys = SMALL | {"splits": SMALL["splits"] | {"train": SMALL["splits"]["train"] | {"songs": 6}}}
    each = render_report(keys, {"songs": {"train": 2, "eval": 1}, "rejected": {}}, [])
    assert said not in once
    assert said in each


def test_long_songs_share_the_last_bar() -> None:
    statistics = describe_songs({"train": [song(*[(60,), ()] * 3500), song((60,))]})
    text = Page(render_report(statistics, summary_of(statistics), [])).text
    assert "from 20:00: train 50.0 %" in text
    assert "from 0:00: train 50.0 %" in text
    assert "minutes, in steps of 60 s" in text


def test_thick_chords_share_the_last_bar() -> None:
    statistics = describe_songs({"train": [song(tuple(range(40, 60)), tuple(range(16)), (60,))]})
    text = Page(render_report(statistics, summary_of(statistics), [])).text
    assert "16 and more: train 66.7 %" in text


def test_real_songs_are_reported_from_what_the_job_wrote(jj_lin: Path) -> None:
    songs = [
        SongFrames(b"", *read_song(path, TrackChoice("first"))[:3])
        for path in sorted(jj_lin.rglob("*.mid"))
    ]
    statistics = describe_songs({"train": songs[4:], "eval": songs[:4]}, maximum=100)
    # The report reads the file, where a pair is a list.
    html = render_report(json.loads(json.dumps(statistics)), summary_of(statistics), [])
    assert html == render_report(statistics, summary_of(statistics), [])
    page = Page(html)
    assert page.elements["svg"] == 4
    assert row(page.text, "songs") == ["18", "4"]
    assert "this vocabulary: 101" in page.text


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (188.4, "3 min 08 s"),
        (3599.6, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (36_000_000, "10,000 h 00 min"),
    ],
)
def test_lengths_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_pitches_have_the_names_of_notes() -> None:
    assert [note_name(pitch) for pitch in (0, 21, 60, 61, 127)] == ["C-1", "A0", "C4", "C♯4", "G9"]


def test_no_drawing_library_is_loaded(tmp_path: Path) -> None:
    code = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from tunesmith.components.transform.statistics_report import render_report\n"
        "assert 'jinja2' not in sys.modules\n"
        "render_report(*json.loads(Path(sys.argv[1]).read_text()), [])\n"
        "print({'matplotlib', 'tensorflow', 'apache_beam'} & set(sys.modules))"
    )
    given = tmp_path / "given.json"
    given.write_text(json.dumps([SMALL, summary_of(SMALL)]))
    command = [sys.executable, "-c", code, str(given)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"
