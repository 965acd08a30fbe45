"""Differences between the fast MIDI reader and pretty_midi; there should be none.

    python benchmarks/exactness.py ../shared/data

reads all songs below the folder with both readers and several track choices, compares the frames,
prints a table, and exits with 1 if a song differs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

import plain_reading

from tunesmith.music import TrackChoice, UnusableFile, read_sequence
from tunesmith.music.parts import instruments_of
from tunesmith.music.smf import Irregular, read_midi_file

CHOICES = ("first", "all", "name:PIANO", "name:MELODY")


def is_regular(data: bytes) -> bool:
    """Return whether the fast reader reads the file without pretty_midi."""
    try:
        instruments_of(read_midi_file(data))
    except Irregular:
        return False
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "folder", type=Path, nargs="?", default=Path("../shared/data"), help="folder of MIDI files"
    )
    folder = parser.parse_args().folder
    songs = sorted(folder.rglob("*.mid"))
    if not songs:
        print(f"no *.mid below {folder}", file=sys.stderr)
        return 2
    counts = {choice: Counter[str]() for choice in CHOICES}
    regular = 0
    ours = theirs = 0.0
    for song in songs:
        data = song.read_bytes()
        regular += is_regular(data)
        start = time.perf_counter()
        parsed = plain_reading.parse(data)
        theirs += time.perf_counter() - start
        for choice in CHOICES:
            start = time.perf_counter()
            expected = plain_reading.read(plain_reading.choose(parsed, choice))
            middle = time.perf_counter()
            try:
                found = read_sequence(data, TrackChoice.parse(choice))
            except UnusableFile:
                found = None
            end = time.perf_counter()
            if choice == "first":
                theirs += middle - start
                ours += end - middle
            if found != expected:
                counts[choice]["different"] += 1
                print(f"{song}: {choice} differs")
            else:
                counts[choice]["equal" if found else "rejected alike"] += 1
    columns = ("equal", "rejected alike", "different")
    print(f"{'tracks':12}{'songs':>7}" + "".join(f"{column:>16}" for column in columns))
    for choice, count in counts.items():
        print(f"{choice:12}{len(songs):7}" + "".join(f"{count[column]:16}" for column in columns))
    print(f"read fast: {regular} of {len(songs)}; by pretty_midi: {len(songs) - regular}")
    per_song = 1000 / len(songs)
    print(
        f"first track, ms a song: {ours * per_song:.2f}, plain pretty_midi {theirs * per_song:.2f}"
        f" (ratio {theirs / ours:.1f})"
    )
    return 1 if any(count["different"] for count in counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
