"""The Beam jobs: which transforms run in one pipeline, and which files they leave.

``ExampleGen`` and ``Transform`` run as two jobs in a pipeline, so that another vocabulary does not
read the MIDI again; ``preprocess`` runs both in one job.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from tunesmith.components.artifacts import SPLITS, Sequences
from tunesmith.components.errors import ComponentError, NoSongs
from tunesmith.components.example_gen import ExampleGenParameters, ReadSequences, rejection_line
from tunesmith.components.transform import STATISTICS, EncodeSequences, TransformParameters

MIDI_SUFFIXES = (".mid", ".midi")


MidiFiles = Sequence[tuple[bytes, bytes]]
"""(song_id, path) of each MIDI file, as file-system bytes."""


def list_midi_files(midi_dir: Path) -> MidiFiles:
    """Return every MIDI file below `midi_dir`, sorted.

    A song's id is its path below `midi_dir`. Links to folders are not followed, so that a loop of
    links ends.

    Raises:
        NoSongs: the folder is not there or holds no MIDI file.
    """
    if not midi_dir.is_dir():
        raise NoSongs(f"{midi_dir} is not a folder: give --midi-dir a folder of MIDI files")
    found = []
    for folder, _, names in os.walk(midi_dir):
        for name in names:
            if name.lower().endswith(MIDI_SUFFIXES):
                path = Path(folder, name)
                song_id = path.relative_to(midi_dir).as_posix()
                found.append((os.fsencode(song_id), os.fsencode(path.absolute())))
    if not found:
        raise NoSongs(f"no MIDI files (.mid, .midi) in {midi_dir} or below: nothing to learn from")
    return sorted(found)


def run_example_gen(
    files: MidiFiles, output: Path, parameters: ExampleGenParameters, beam_options: Sequence[str]
) -> None:
    """Write a :class:`Sequences` artifact of the listed files into the folder `output`.

    Raises:
        NoSongs: fewer than two songs can be used.
        ComponentError: the Beam job failed.
    """
    with _job(beam_options) as pipeline:
        read = pipeline | "Files" >> beam.Create(files) | "Sequences" >> ReadSequences(parameters)
        _write_records(read, output)
        _write_rejected(read, output)
    _check(output, len(files))


def run_transform(
    sequences: Sequences,
    output: Path,
    parameters: TransformParameters,
    beam_options: Sequence[str],
) -> None:
    """Write an :class:`Examples` artifact into the folder `output`.

    Raises:
        ComponentError: the Beam job failed.
    """
    with _job(beam_options) as pipeline:
        splits = {
            split: pipeline
            | f"Read-{split}" >> beam.io.ReadFromTFRecord(f"{sequences.path}/{split}-*.tfrecord")
            for split in SPLITS
        }
        encoded = splits | "Examples" >> EncodeSequences(parameters)
        _write_records(encoded, output)
        _write_texts(encoded, output)


def run_preprocess(
    files: MidiFiles,
    output: Path,
    reading: ExampleGenParameters,
    encoding: TransformParameters,
    beam_options: Sequence[str],
) -> None:
    """Write examples, vocabulary, statistics and rejections of `files` into `output`, in one job.

    Raises:
        NoSongs: fewer than two songs can be used.
        ComponentError: the Beam job failed.
    """
    with _job(beam_options) as pipeline:
        read = pipeline | "Files" >> beam.Create(files) | "Sequences" >> ReadSequences(reading)
        encoded = {split: read[split] for split in SPLITS} | "Examples" >> EncodeSequences(encoding)
        _write_records(encoded, output)
        _write_texts(encoded, output)
        _write_rejected(read, output)
    _check(output, len(files))


@contextmanager
def _job(options: Sequence[str]) -> Iterator[beam.Pipeline]:
    # A failing job is told in one line, by the error below; Beam would log its whole stack first.
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    try:
        with beam.Pipeline(options=PipelineOptions(list(options))) as pipeline:
            yield pipeline
    except Exception as error:
        # Beam rethrows whatever a worker raised, with the worker's stack in the message.
        last = str(error).strip().splitlines()[-1] if str(error).strip() else repr(error)
        raise ComponentError(f"the Beam job failed: {last}") from error


def _write_records(collections: dict[str, beam.PCollection], output: Path) -> None:
    for split in SPLITS:
        collections[split] | f"Write-{split}" >> beam.io.WriteToTFRecord(
            str(output / split), file_name_suffix=".tfrecord"
        )


def _write_texts(collections: dict[str, beam.PCollection], output: Path) -> None:
    for name in ("vocabulary", STATISTICS):
        collections[name] | f"Write-{name}" >> beam.Map(_write_file, str(output / f"{name}.json"))


def _write_rejected(read: dict[str, beam.PCollection], output: Path) -> None:
    (
        read["rejected"]
        | "Lines" >> beam.Map(rejection_line)
        | "ListLines" >> beam.combiners.ToList()
        | "JoinLines" >> beam.Map(lambda lines: "".join(f"{line}\n" for line in sorted(lines)))
        | "Write-rejected" >> beam.Map(_write_file, str(output / "rejected.jsonl"))
    )
    counts = [
        read[split] | f"Count-{split}" >> beam.Map(lambda _, key: key, ("songs", split))
        for split in SPLITS
    ]
    counts.append(read["rejected"] | "Reasons" >> beam.Map(lambda line: ("rejected", line[1])))
    (
        counts
        | "Outcomes" >> beam.Flatten()
        | "CountOutcomes" >> beam.combiners.Count.PerElement()
        | "ListOutcomes" >> beam.combiners.ToList()
        | "Summary" >> beam.Map(_summary)
        | "Write-summary" >> beam.Map(_write_file, str(output / "summary.json"))
    )


def _summary(counts: list[tuple[tuple[str, str], int]]) -> str:
    summary: dict[str, dict[str, int]] = {"songs": dict.fromkeys(SPLITS, 0), "rejected": {}}
    for (kind, name), count in sorted(counts):
        summary[kind][name] = count
    return json.dumps(summary, indent=2)


def _write_file(text: str, path: str) -> None:
    """Write the one small file of a job; a runner that tries again writes the same once more."""
    with FileSystems.create(path, "text/plain") as file:
        file.write(text.encode())


def read_summary(output: Path) -> dict[str, Any]:
    """Read ``summary.json``: ``songs`` by split, ``rejected`` by reason."""
    content: dict[str, Any] = json.loads((output / "summary.json").read_text("utf-8"))
    return content


def _check(output: Path, files: int) -> None:
    summary = read_summary(output)
    usable = sum(summary["songs"].values())
    if usable >= 2:
        return
    reasons = ", ".join(f"{count} {reason}" for reason, count in summary["rejected"].items())
    if usable == 0:
        first = json.loads((output / "rejected.jsonl").read_text("utf-8").splitlines()[0])
        raise NoSongs(
            f"all {files} MIDI files were rejected ({reasons}); "
            f"the first: {first['path']}: {first['detail']}"
        )
    raise NoSongs(
        f"only one of {files} MIDI files can be used ({reasons or 'none rejected'}): two songs "
        "are needed, one to learn from and one to be judged by"
    )
