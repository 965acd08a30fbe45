"""Errors of the music package: invalid files, track choices and frames."""

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
    """Base class of the errors of :mod:`tunesmith.music`; each message is one line."""


class UnusableFile(MusicError):
    """A MIDI file that cannot be converted to a sequence.

    Attributes:
        reason: one of :data:`Reason`; rejected files are counted by it.
        detail: description of the problem in this file.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Reason = reason
        self.detail = detail


class UnknownFrame(MusicError):
    """A frame outside the vocabulary, where the nearest frame is not accepted instead."""
