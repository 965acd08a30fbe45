"""Names of MIDI pitches and colours of their piano keys: 60 is C4, a white key."""

from __future__ import annotations

# With the number sign, as consoles and Pillow's default font have no sharp sign.
_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_BLACK = frozenset({1, 3, 6, 8, 10})


def pitch_name(pitch: int) -> str:
    """Return the name of a MIDI pitch in scientific pitch notation: 60 is ``C4``."""
    return f"{_NAMES[pitch % 12]}{pitch // 12 - 1}"


def is_black_key(pitch: int) -> bool:
    """Return whether a MIDI pitch is a black key of the piano."""
    return pitch % 12 in _BLACK
