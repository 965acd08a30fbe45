"""``report.html`` of a collection: its statistics drawn, on one page that opens without a network.

The page is a jinja2 template with autoescaping; its charts are those of
:mod:`tunesmith.components.charts`.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tunesmith.components.charts.shapes import Chart, curve, histogram, percent
from tunesmith.components.charts.svg import COLOURS, draw
from tunesmith.music.note_counts import NoteCounts

LISTED_REJECTIONS = 50
"""Rejected files that the page names; ``rejected.jsonl`` has them all."""

_LONGEST_DETAIL = 300
_MOST_PITCHES = 16
_MOST_BARS = 21
_NOTES = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}


def write_report(
    statistics: Mapping[str, Any],
    summary: Mapping[str, Any],
    rejected: Path | Iterable[str],
    output: Path,
) -> None:
    """Write the report of a preprocessed collection to `output`.

    Args:
        statistics: of :func:`tunesmith.components.transform.statistics.describe`.
        summary: of :meth:`tunesmith.components.artifacts.Sequences.summary`.
        rejected: ``rejected.jsonl`` or its lines.
        output: the HTML file.
    """
    if isinstance(rejected, Path):
        with rejected.open(encoding="utf-8") as lines:
            page = render_report(statistics, summary, lines)
    else:
        page = render_report(statistics, summary, rejected)
    output.write_text(page, encoding="utf-8")


def render_report(
    statistics: Mapping[str, Any], summary: Mapping[str, Any], rejected: Iterable[str]
) -> str:
    """Return the page of :func:`write_report`, which has the arguments."""
    from jinja2 import Environment, PackageLoader, select_autoescape

    environment = Environment(
        loader=PackageLoader("tunesmith.components.transform", "templates"),
        autoescape=select_autoescape(),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "duration": duration,
        "note": note_name,
        "percent": percent,
        "svg": draw,
    }
    splits = statistics["splits"]
    return environment.get_template("statistics.html").render(
        statistics=statistics,
        splits=splits,
        songs=summary["songs"],
        notes=NoteCounts(**summary["notes"]) if "notes" in summary else None,
        reasons=sorted(summary["rejected"].items(), key=lambda each: (-each[1], each[0])),
        rejected=_first_rejections(rejected),
        pitch_chart=pitch_chart(splits),
        polyphony_chart=polyphony_chart(splits),
        length_chart=length_chart(splits),
        coverage_chart=coverage_chart(
            statistics["vocabulary_coverage"], statistics["vocabulary_size"]
        ),
        colours=COLOURS,
    )


def note_name(pitch: int) -> str:
    """Return the name of a MIDI pitch, 60 being C4."""
    return f"{_NOTES[pitch % 12]}{pitch // 12 - 1}"


def duration(seconds: float) -> str:
    """Return a length of time as people say it: ``12.5 s``, ``3 min 08 s``, ``2 h 05 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes:02d} min"


def pitch_chart(splits: Mapping[str, Mapping[str, Any]]) -> Chart | None:
    """Draw in which share of the frames each pitch sounds, whole octaves from C to C."""
    heard = [
        each[end]
        for each in splits.values()
        for end in ("lowest_pitch", "highest_pitch")
        if each[end] is not None
    ]
    if not heard:
        return None
    first, last = 12 * (min(heard) // 12), min(12 * (max(heard) // 12 + 1), 127)
    return histogram(
        "Share of the frames in which each pitch sounds",
        "pitch",
        {name: _shares(each["frames_by_pitch"], each["frames"]) for name, each in splits.items()},
        range(first, last + 1),
        lambda pitch: f"{note_name(pitch)} ({pitch})",
        {pitch: note_name(pitch) for pitch in range(first, last + 1, 12)},
    )


def polyphony_chart(splits: Mapping[str, Mapping[str, Any]]) -> Chart | None:
    """Draw the share of the frames by the number of sounding pitches."""

    def shares(split: Mapping[str, Any]) -> list[float]:
        counts = split["frames_by_polyphony"]
        folded = [*counts[:_MOST_PITCHES], sum(counts[_MOST_PITCHES:])]
        return _shares(folded, split["frames"])

    highest = max((each["highest_polyphony"] for each in splits.values()), default=0)
    shown = range(min(highest, _MOST_PITCHES) + 1)

    def name(pitches: int) -> str:
        return f"{pitches} and more" if pitches == _MOST_PITCHES else str(pitches)

    return histogram(
        "Share of the frames by how many pitches sound",
        "pitches that sound together",
        {label: shares(each) for label, each in splits.items()},
        shown,
        name,
        {
            size: f"{size}+" if size == _MOST_PITCHES else str(size)
            for size in shown[:: 2 if len(shown) > 12 else 1]
        },
    )


def length_chart(splits: Mapping[str, Mapping[str, Any]]) -> Chart | None:
    """Draw how long the songs are, in bins as wide as makes them few."""
    lengths = {name: each["song_length"] for name, each in splits.items()}
    if not any(each["songs"] for each in splits.values()):
        return None
    width = next(iter(lengths.values()))["bin_seconds"]
    most = max(len(each["songs_by_bin"]) for each in lengths.values())
    # Each divides the 120 bins below the last one, which takes whatever is longer.
    merged = next(factor for factor in (1, 2, 3, 6) if most <= factor * _MOST_BARS or factor == 6)
    shares = {}
    for name, each in lengths.items():
        bins = each["songs_by_bin"]
        grouped = [sum(bins[at : at + merged]) for at in range(0, len(bins), merged)]
        shares[name] = _shares(grouped, splits[name]["songs"])
    seconds = merged * width
    shown = range(max(map(len, shares.values())))
    edges = range(0, len(shown) + 1, math.ceil((len(shown) + 1) / 7))
    return histogram(
        "Share of the songs by length",
        f"minutes, in steps of {seconds} s",
        shares,
        shown,
        lambda at: f"from {_clock(at * seconds)}",
        {edge - 0.5: _clock(edge * seconds) for edge in edges},
    )


def coverage_chart(coverage: Sequence[Sequence[float]], vocabulary_size: int) -> Chart | None:
    """Draw the share of the training frames that vocabularies of growing size hold."""
    if not coverage:
        return None
    points = [(int(size), share) for size, share in coverage]
    return curve(
        "Share of the training frames covered by a vocabulary, by its size",
        "tokens: the rest and the most frequent frames",
        points,
        lambda size: f"{size:,} tokens",
        (min(vocabulary_size, points[-1][0]), f"this vocabulary: {vocabulary_size:,}"),
    )


def _shares(counts: Sequence[int], whole: int) -> list[float]:
    return [count / whole for count in counts] if whole else []


def _clock(seconds: int) -> str:
    return f"{seconds // 60}:{seconds % 60:02d}"


def _first_rejections(lines: Iterable[str]) -> list[dict[str, str]]:
    listed = map(json.loads, itertools.islice(lines, LISTED_REJECTIONS))
    return [{name: _printable(text) for name, text in each.items()} for each in listed]


def _printable(text: str) -> str:
    """Return `text` with what is no text, bytes of an undecodable name say, spelt out."""
    if len(text) > _LONGEST_DETAIL:
        text = text[:_LONGEST_DETAIL] + "…"
    return text.encode("utf-8", "backslashreplace").decode("utf-8").translate(_CONTROLS)
