"""Reader of SoundFont 2 files: the samples that a General MIDI program plays for a pitch.

The file is RIFF with nine tables of fixed-size records (SoundFont Technical Specification 2.01,
sections 5 and 7). It reads the generators of a note's pitch, loudness, loop, envelope and
brightness; it ignores modulators and low-frequency oscillators.
"""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tunesmith.client.errors import MissingLibrary

Generators = dict[int, int]


class Generator(IntEnum):
    """The generators that are read, by their number in section 8.1.2."""

    FILTER_CUTOFF = 8
    MODULATION_TO_FILTER = 11
    ATTACK = 34
    HOLD = 35
    DECAY = 36
    SUSTAIN = 37
    RELEASE = 38
    INSTRUMENT = 41
    KEY_RANGE = 43
    VELOCITY_RANGE = 44
    ATTENUATION = 48
    COARSE_TUNE = 51
    FINE_TUNE = 52
    SAMPLE = 53
    SAMPLE_MODES = 54
    SCALE_TUNING = 56
    ROOT_KEY = 58


# Section 8.1.3: the values of generators that are not 0 when a zone does not say.
_DEFAULTS: Generators = {
    Generator.FILTER_CUTOFF: 13500,
    Generator.ATTACK: -12000,
    Generator.HOLD: -12000,
    Generator.DECAY: -12000,
    Generator.RELEASE: -12000,
    Generator.SCALE_TUNING: 100,
    Generator.ROOT_KEY: -1,
}

_RECORDS = {
    "phdr": np.dtype(
        [("name", "S20"), ("preset", "<u2"), ("bank", "<u2"), ("bag", "<u2"), ("rest", "V12")]
    ),
    "inst": np.dtype([("name", "S20"), ("bag", "<u2")]),
    "bag": np.dtype([("generator", "<u2"), ("modulator", "<u2")]),
    "gen": np.dtype([("operator", "<u2"), ("amount", "<i2")]),
    "shdr": np.dtype(
        [
            ("name", "S20"),
            ("start", "<u4"),
            ("end", "<u4"),
            ("loop_start", "<u4"),
            ("loop_end", "<u4"),
            ("rate", "<u4"),
            ("pitch", "u1"),
            ("correction", "i1"),
            ("link", "<u2"),
            ("type", "<u2"),
        ]
    ),
}


@dataclass(frozen=True)
class Voice:
    """One sample of a note.

    Args:
        samples: float32 [n], -1 to 1; of a looped sample, up to the loop's end.
        loop_start: where the loop begins; None if the sample plays once.
        step: samples to move on per second, so that the note has its pitch.
        generators: every generator of the zone, defaults included, in the units of section 8.1.
    """

    samples: NDArray[np.float32]
    loop_start: int | None
    step: float
    generators: Generators


class SoundFont:
    """A SoundFont 2 bank in memory.

    Args:
        content: the bytes of an ``.sf2`` file.
    """

    def __init__(self, content: bytes) -> None:
        self._chunks = dict(_leaf_chunks(content, 12, len(content)))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read an ``.sf2`` file."""
        return cls(path.read_bytes())

    def _table(self, chunk: str, record: str) -> NDArray[Any]:
        return np.frombuffer(self._chunks[chunk], dtype=_RECORDS[record])

    @cached_property
    def _presets(self) -> dict[tuple[int, int], int]:
        """The index of each (bank, program); the last record is a terminator."""
        records = self._table("phdr", "phdr")[:-1]
        return {(int(each["bank"]), int(each["preset"])): i for i, each in enumerate(records)}

    def voices(self, program: int, pitch: int, velocity: int) -> list[Voice]:
        """Return the samples that sound when a note is struck, usually one or a stereo pair.

        Args:
            program: General MIDI program 0..127.
            pitch: 0..127.
            velocity: 1..127.
        """
        preset = self._presets[0, program]
        return [
            self._voice(_sum(outer, inner), pitch)
            for outer in self._zones("phdr", "pbag", "pgen", preset, Generator.INSTRUMENT)
            if _covers(outer, pitch, velocity)
            for inner in self._zones(
                "inst", "ibag", "igen", outer[Generator.INSTRUMENT], Generator.SAMPLE
            )
            if _covers(inner, pitch, velocity)
        ]

    def _zones(
        self, owners: str, bags: str, generators: str, index: int, target: Generator
    ) -> Iterator[Generators]:
        """Yield the zones of a preset or an instrument; a global zone's values are laid under."""
        owner = self._table(owners, owners)
        bag = self._table(bags, "bag")["generator"]
        listed = self._table(generators, "gen")
        shared: Generators = {}
        for zone in range(int(owner[index]["bag"]), int(owner[index + 1]["bag"])):
            own = {int(key): int(value) for key, value in listed[bag[zone] : bag[zone + 1]]}
            if target in own:
                yield {**shared, **own}
            else:
                shared = own

    def _voice(self, generators: Generators, pitch: int) -> Voice:
        header = self._table("shdr", "shdr")[generators[Generator.SAMPLE]]
        start, end = int(header["start"]), int(header["end"])
        looped = bool(generators[Generator.SAMPLE_MODES] & 1)
        loop_start, loop_end = int(header["loop_start"]), int(header["loop_end"])
        looped = looped and start <= loop_start < loop_end <= end
        stop = loop_end if looped else end
        samples = np.frombuffer(self._chunks["smpl"], dtype="<i2")[start:stop]
        root = generators[Generator.ROOT_KEY]
        if root < 0:
            root = int(header["pitch"]) if header["pitch"] < 128 else 60
        cents = (
            (pitch - root) * generators[Generator.SCALE_TUNING]
            + 100 * generators[Generator.COARSE_TUNE]
            + generators[Generator.FINE_TUNE]
            + int(header["correction"])
        )
        return Voice(
            samples.astype(np.float32) / np.float32(32768),
            loop_start - start if looped else None,
            float(header["rate"]) * 2 ** (cents / 1200),
            generators,
        )


def _leaf_chunks(content: bytes, position: int, end: int) -> Iterator[tuple[str, bytes]]:
    """Yield the chunks of a RIFF file by name, through its lists."""
    while position + 8 <= end:
        name, size = struct.unpack_from("<4sI", content, position)
        body = position + 8
        if name == b"LIST":
            yield from _leaf_chunks(content, body + 4, body + size)
        else:
            yield name.decode("ascii"), content[body : body + size]
        position = body + size + size % 2


def _covers(zone: Generators, pitch: int, velocity: int) -> bool:
    """Return whether a zone's key and velocity ranges hold a note; a range is two bytes."""
    return all(
        zone[key] & 0xFF <= value <= zone[key] >> 8
        for key, value in ((Generator.KEY_RANGE, pitch), (Generator.VELOCITY_RANGE, velocity))
        if key in zone
    )


def _sum(preset: Generators, instrument: Generators) -> Generators:
    """Return an instrument zone's values, or the defaults, with a preset zone's added to them."""
    values = {int(key): _DEFAULTS.get(key, 0) for key in Generator} | instrument
    added = {Generator.INSTRUMENT, Generator.KEY_RANGE, Generator.VELOCITY_RANGE}
    for key, value in preset.items():
        if key in values and key not in added:
            values[key] += value
    return values


@cache
def general_midi() -> SoundFont:
    """Return the soundfont that comes with pretty_midi (TimGM6mb, by Tim Brechbill), read once.

    Raises:
        MissingLibrary: this release of pretty_midi has no such file.
    """
    spec = importlib.util.find_spec("pretty_midi")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("pretty_midi is not installed", name="pretty_midi")
    path = Path(spec.origin).with_name("TimGM6mb.sf2")
    if not path.is_file():
        raise MissingLibrary("pretty_midi has no TimGM6mb.sf2: pip install pretty_midi==0.2.11")
    return SoundFont.read(path)
