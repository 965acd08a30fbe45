"""Note recall of each encoding: the share of notes of MIDI files that can be read from the tokens.

    python benchmarks/encodings.py ../shared/data/jj_lin
    python benchmarks/encodings.py ../shared/data/jj_lin --keep-short-notes

runs ``tunesmith preprocess`` with each encoding, decodes the tokens of all songs, and searches each
note of the files, as read by pretty_midi: a note is found if a note of its pitch starts in its
frame. The vocabulary is that of the training songs, so frames outside it lose notes of held-out
songs. Unknown arguments are passed to ``preprocess``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import pretty_midi

from tunesmith.components.artifacts import SPLITS, Examples
from tunesmith.components.encodings.encoding import encoding_names
from tunesmith.components.records.tfrecord import read_songs
from tunesmith.music import TrackChoice, notes_from_frames
from tunesmith.music.reading import parse_midi


class Notes(NamedTuple):
    """Notes of some songs: in the files, back from the tokens, and begun that no file has."""

    files: int = 0
    back: int = 0
    others: int = 0

    def added(self, other: Notes) -> Notes:
        return Notes(*(mine + more for mine, more in zip(self, other, strict=True)))


def onsets(
    instruments: list[pretty_midi.Instrument], speed: float, keep_short_notes: bool
) -> list[tuple[int, int]]:
    """Return (pitch, frame) of each note's start, frames counted from the first that sounds."""
    notes = [
        (note.pitch, int(note.start * speed), int(note.end * speed))
        for each in instruments
        for note in each.notes
    ]
    first = min(start for _, start, end in notes if end > start or keep_short_notes)
    return [(pitch, start - first) for pitch, start, _ in notes]


def compared(examples: Examples, midi: Path, split: str) -> Notes:
    """Compare the songs of a split with their files."""
    vocabulary = examples.vocabulary()
    corpus, total = vocabulary.corpus, Notes()
    for song in read_songs(examples.shards(split)):  # type: ignore[arg-type]
        parsed = parse_midi((midi / song.song_id.decode()).read_bytes())
        instruments = TrackChoice.select(corpus.track, parsed.instruments)
        wanted = onsets(instruments, corpus.grid.frames_per_second, corpus.grid.keep_short_notes)
        notes = notes_from_frames(vocabulary.decode(song.tokens))
        found = {(note.pitch, note.start) for note in notes}
        back = len(found & set(wanted))
        total = total.added(Notes(len(wanted), back, len(found) - back))
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=Path("../shared/data/jj_lin"),
        help="folder of MIDI files",
    )
    told, options = parser.parse_known_args()
    print("encoding   tokens   split   notes in the files   back          begun that are not there")
    for encoding in encoding_names():
        with tempfile.TemporaryDirectory() as work:
            command = [sys.executable, "-m", "tunesmith.cli.main", "preprocess", *options]
            command += ["--midi-dir", str(told.folder), "--output", f"{work}/out"]
            done = subprocess.run(
                [*command, "--encoding", encoding], check=False, capture_output=True, text=True
            )
            if done.returncode:
                raise SystemExit(done.stderr)
            examples = Examples(Path(work, "out"), "")
            for split in SPLITS:
                notes = compared(examples, told.folder, split)
                size = len(examples.vocabulary())
                print(
                    f"{encoding:8}   {size:6}   {split:5}   {notes.files:18}   {notes.back:5} "
                    f"({notes.back / notes.files:5.1%})   {notes.others:6}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
