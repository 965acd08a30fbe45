"""Names of frames in any encoding: after the part's name, each number is a pitch."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"\d+")

KEYS = tuple(range(-5, 7))
"""The smallest transposition to each of the twelve keys, in semitones."""


def pitches_in(name: str) -> list[int]:
    """Return the pitches in a frame's name, in its order."""
    return [int(each) for each in _NUMBER.findall(name.rpartition(":")[2])]


def shifted(name: str, semitones: int) -> str:
    """Return the name of a frame with each pitch moved up by `semitones`."""
    part, colon, frame = name.rpartition(":")
    return part + colon + _NUMBER.sub(lambda found: str(int(found[0]) + semitones), frame)
