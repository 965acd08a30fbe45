"""The report of a job: ``rejected.jsonl``, ``summary.json`` and ``notes.json``."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam

from tunesmith.components.artifacts import Sequences
from tunesmith.components.errors import NoSongs
from tunesmith.components.records.shards import write_file
from tunesmith.music.note_counts import NoteCounts

Report = tuple[Counter[str], list[tuple[bytes, str, str]], NoteCounts]
"""Songs by split, the (song_id, reason, detail) of each rejection, and the notes of all songs."""


class CollectReport(beam.CombineFn):
    """Combines the elements of the output ``report`` into a :data:`Report`."""

    def create_accumulator(self) -> Report:
        return Counter(), [], NoteCounts()

    def add_input(self, accumulator: Report, element: tuple[Any, ...]) -> Report:
        songs, rejected, notes = accumulator
        if len(element) == 2:
            split, counted = element
            songs[split] += 1
            return songs, rejected, notes.added(NoteCounts.from_bytes(counted))
        rejected.append(element)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Report]) -> Report:
        songs: Counter[str] = Counter()
        rejected: list[tuple[bytes, str, str]] = []
        notes = NoteCounts()
        for some, others, counted in accumulators:
            songs += some
            rejected += others
            notes = notes.added(counted)
        return songs, rejected, notes

    def extract_output(self, accumulator: Report) -> Report:
        return accumulator


class WriteReport(beam.PTransform):
    """Reports to ``rejected.jsonl``, ``summary.json``, ``notes.json`` in the folder `output`."""

    def __init__(self, output: str, splits: Sequence[str]) -> None:
        super().__init__()
        self._output = output
        self._splits = splits

    def expand(self, reports: beam.PCollection) -> beam.PCollection:
        return (
            reports
            | "Collect" >> beam.CombineGlobally(CollectReport()).without_defaults()
            | "Write" >> beam.Map(_write, self._output, tuple(self._splits))
        )


def _write(report: Report, output: str, splits: Sequence[str]) -> None:
    songs, rejected, notes = report
    # By path, which is unique, so that the order of reading cannot show.
    lines = [f"{rejection_line(*each)}\n" for each in sorted(rejected)]
    write_file(f"{output}/rejected.jsonl", "".join(lines).encode())
    reasons = sorted(Counter(reason for _, reason, _ in rejected).items())
    summary = {"songs": {split: songs[split] for split in splits}, "rejected": dict(reasons)}
    write_file(f"{output}/summary.json", json.dumps(summary, indent=2).encode())
    write_file(f"{output}/notes.json", json.dumps(notes._asdict(), indent=2).encode())


def rejection_line(song_id: bytes, reason: str, detail: str) -> str:
    """Return the line of ``rejected.jsonl`` for a rejection."""
    return json.dumps({"path": os.fsdecode(song_id), "reason": reason, "detail": detail})


def check_usable(output: Path) -> None:
    """Check that each split has a song.

    Raises:
        NoSongs: a split has none.
    """
    summary = Sequences(output, "").summary()
    songs, rejected = summary["songs"], summary["rejected"]
    if all(songs.values()):
        return
    usable = sum(songs.values())
    files = usable + sum(rejected.values())
    reasons = ", ".join(f"{count} {reason}" for reason, count in rejected.items())
    if usable == 0:
        first = json.loads((output / "rejected.jsonl").read_text("utf-8").splitlines()[0])
        raise NoSongs(
            f"all {files} files were rejected ({reasons}); "
            f"the first: {first['path']}: {first['detail']}"
        )
    few = "only one" if usable == 1 else f"only {usable}"
    needed = (
        "at least 3 songs are needed, one each for train, eval and test"
        if "test" in songs
        else "at least 2 songs are needed, one each for train and eval"
    )
    raise NoSongs(f"{few} of {files} files can be used ({reasons or 'none rejected'}): {needed}")
