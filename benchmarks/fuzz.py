"""Fuzzing of the MIDI reader with thousands of malformed files.

    python benchmarks/fuzz.py --count 10000 --corpus ../shared/data/jj_lin

Each file must be read as pretty_midi reads it, or refused with a reason. Prints the outcomes, the
slowest file and the peak memory. Exits with 1 if a file was read differently, caused an exception
other than UnusableFile, or took too long.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import mutations
import plain_reading

from tunesmith.music import TrackChoice, UnusableFile, read_sequence
from tunesmith.music.reading import LARGEST_FILE, LARGEST_IRREGULAR_FILE, LONGEST_SONG

ALL = TrackChoice("all")

LARGEST_CORPUS_FILE = 7_000
"""Bytes. pretty_midi's time, and with it the fuzzer's, grows with the file."""

FAULTS = ("different", "refused without cause", "read a file that pretty_midi refuses", "exception")


class Outcome(NamedTuple):
    """Outcome of reading a file."""

    name: str
    detail: str
    seconds: float


def outcome_of(data: bytes) -> Outcome:
    """Read a file both ways and compare."""
    start = time.perf_counter()
    try:
        found = read_sequence(data, ALL)
        refusal = None
    except UnusableFile as error:
        found, refusal = None, error
    except Exception as error:  # noqa: BLE001 - that none comes is what is tested
        return Outcome("exception", repr(error), time.perf_counter() - start)
    seconds = time.perf_counter() - start

    if refusal and refusal.reason == "too large":
        bounded = len(data) > min(LARGEST_FILE, LARGEST_IRREGULAR_FILE)
        name = "refused by a bound" if bounded else "refused without cause"
        return Outcome(name, refusal.reason, seconds)
    try:
        instruments = plain_reading.choose(plain_reading.parse(data), "all")
    except Exception as error:  # noqa: BLE001 - pretty_midi raises what it trips over
        name = "refused alike" if refusal else "read a file that pretty_midi refuses"
        return Outcome(name, refusal.reason if refusal else repr(error), seconds)
    if plain_reading.columns(instruments) > LONGEST_SONG:
        bounded = refusal is not None and refusal.reason == "too long"
        return Outcome("refused by a bound" if bounded else "different", "too long", seconds)
    expected = plain_reading.read(instruments)
    if refusal:
        name = "refused without cause" if expected else "refused alike"
        return Outcome(name, refusal.reason, seconds)
    return Outcome("read alike" if found == expected else "different", "", seconds)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=10_000, help="number of files")
    parser.add_argument("--seed", type=int, default=1, help="random seed")
    parser.add_argument(
        "--corpus", type=Path, help="folder of MIDI files to mutate, in addition to generated ones"
    )
    parser.add_argument("--limit", type=float, default=10.0, help="maximum seconds for a file")
    parser.add_argument("--keep", type=Path, help="folder to which failing files are written")
    options = parser.parse_args()
    corpus = mutations.made_files()
    if options.corpus:
        songs = sorted(options.corpus.rglob("*.mid"))
        corpus += [
            song.read_bytes() for song in songs if song.stat().st_size <= LARGEST_CORPUS_FILE
        ]
    counts = Counter[tuple[str, str]]()
    slowest = (0.0, "")
    faults = 0
    for data in mutations.mutants(corpus, options.count, options.seed):
        outcome = outcome_of(data)
        digest = hashlib.sha256(data).hexdigest()[:12]
        counts[outcome.name, outcome.detail if outcome.name.startswith("refused") else ""] += 1
        slowest = max(slowest, (outcome.seconds, f"{digest}, {len(data)} bytes"))
        if outcome.name in FAULTS or outcome.seconds > options.limit:
            faults += 1
            print(f"{digest}: {outcome.name} {outcome.detail} ({outcome.seconds:.1f} s)")
            if options.keep:
                options.keep.mkdir(parents=True, exist_ok=True)
                (options.keep / f"{digest}.mid").write_bytes(data)
    for (name, detail), count in sorted(counts.items()):
        print(f"{count:7}  {name}{detail and ': '}{detail}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{options.count} files of seed {options.seed} from a corpus of {len(corpus)}")
    print(f"slowest: {slowest[0]:.2f} s ({slowest[1]})")
    print(f"peak memory, pretty_midi's reference reading included: {peak:.0f} MiB")
    print(f"faults: {faults}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
