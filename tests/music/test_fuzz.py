"""Broken files: each is read as pretty_midi reads it, or refused with a reason, soon.

The long run is ``python benchmarks/fuzz.py``; these are a few hundred files of fixed seeds.
"""

from __future__ import annotations

import importlib
import struct
import time
from pathlib import Path
from types import ModuleType

import pytest

from tunesmith.music import TrackChoice, UnusableFile, read_sequence

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
END = b"\x00\xff\x2f\x00"
SECONDS = 20.0
"""Generous, for a machine that does other things too; the long run prints real times."""


@pytest.fixture
def fuzz(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("fuzz")


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_broken_files_are_read_as_pretty_midi_reads_them_or_refused(
    fuzz: ModuleType, seed: int
) -> None:
    for index, data in enumerate(fuzz.mutations.mutants(fuzz.mutations.made_files(), 150, seed)):
        outcome = fuzz.outcome_of(data)
        assert outcome.name not in fuzz.FAULTS, (index, outcome)
        assert outcome.seconds < SECONDS, (index, outcome)


def test_the_same_seed_breaks_files_the_same_way(fuzz: ModuleType) -> None:
    corpus = fuzz.mutations.made_files()
    first = list(fuzz.mutations.mutants(corpus, 20, 5))
    assert first == list(fuzz.mutations.mutants(corpus, 20, 5))
    assert first != list(fuzz.mutations.mutants(corpus, 20, 6))


def test_whole_files_of_the_fuzzer_are_read(fuzz: ModuleType) -> None:
    assert [fuzz.outcome_of(data).name for data in fuzz.mutations.made_files()] == [
        "read alike"
    ] * 4


def one_track(body: bytes) -> bytes:
    header = b"MThd" + struct.pack(">LHHH", 6, 0, 1, 96)
    return header + b"MTrk" + struct.pack(">L", len(body)) + body


NOTE = b"\x00\x90\x3c\x40\x60\x80\x3c\x40"

HEAVY = {
    "20 MB of notes": one_track(NOTE * (20 * 2**20 // len(NOTE)) + END),
    "half a million program changes": one_track(b"\x00\xc0\x05\x00\xc0\x06" * 250_000 + NOTE + END),
    "a quarter of a million bends": one_track(
        b"\x00\xe0\x10\x20\x00\xe0\x00\x50" * 125_000 + NOTE + END
    ),
    "a quarter of a million pedal changes": one_track(
        b"\x00\xb0\x40\x7f\x00\xb0\x40\x00" * 125_000 + NOTE
    ),
    "150,000 tempi": one_track(b"\x00\xff\x51\x03\x0a\x02\x03" * 150_000 + NOTE + END),
    "thousands of tracks": b"MThd"
    + struct.pack(">LHHH", 6, 1, 10_000, 96)
    + (b"MTrk" + struct.pack(">L", len(NOTE)) + NOTE) * 10_000,
    "sixteen long channels in many tracks": b"MThd"
    + struct.pack(">LHHH", 6, 1, 40, 1)
    + b"".join(
        b"MTrk" + struct.pack(">L", len(body)) + body
        for body in [
            b"".join(bytes((0, 0x90 | channel, 60, 64)) for channel in range(16))
            + b"\x83\x80\x00\x80\x3c\x00"
            + b"".join(bytes((0, 0x80 | channel, 60, 64)) for channel in range(16))
        ]
        * 40
    ),
}


@pytest.mark.parametrize("data", HEAVY.values(), ids=HEAVY)
def test_heavy_files_take_bounded_time(data: bytes) -> None:
    start = time.monotonic()
    try:
        assert read_sequence(data, TrackChoice("all"))
    except UnusableFile as refusal:
        assert refusal.reason in ("too large", "too long")  # noqa: PT017 - either is fine
    assert time.monotonic() - start < SECONDS
