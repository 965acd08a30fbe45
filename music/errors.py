"""The errors of the music package: what can be wrong with a file, a track choice or a frame."""

from __future__ import annotations

from typing import Literal

Reason = Literal[
    "unreadable",
    "malformed",
    "too large",
    "no such track",
    "drum track",
    "no notes",
    "too short",
    "too long",
    "duplicate",
]


class MusicError(ValueError):
    """Any error of :mod:`tunesmith.music`; its message is one line that says what to do."""


class UnusableFile(MusicError):
    """A MIDI file that cannot become a sequence.

    Attributes:
        reason: one of :data:`Reason`, the key that rejected files are counted by.
        detail: what was found in this file.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Reason = reason
        self.detail = detail


class UnknownFrame(MusicError):
    """A frame that the vocabulary does not hold, where an exact one was asked for."""
