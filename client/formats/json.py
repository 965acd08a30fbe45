"""JSON: all fields of the song, for other programs; docs/client.md lists the keys."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from tunesmith.music import Frame, StruckFrame
from tunesmith.music.struck import struck_frames

if TYPE_CHECKING:
    from tunesmith.client.song import Song

VERSION = 1
"""Raised when the meaning of a key changes, or one is dropped."""


def song_values(song: Song) -> dict[str, Any]:
    """Return the song as values that JSON has.

    ``frames`` are lists of ascending pitches, the empty list a rest. ``struck`` lists the pitches
    that begin in each frame; it is None for plain frames, in which those begin that do not sound in
    the frame before. ``start`` holds the frames before the song (``context``), and how many of its
    own frames were given, not composed (``given_frames``).
    """
    sampling = song.sampling
    return {
        "format": "tunesmith song",
        "version": VERSION,
        "model": song.model,
        "model_version": song.model_version,
        "seed": song.seed,
        "index": song.index,
        "sampling": None if sampling is None else dataclasses.asdict(sampling),
        "start": {
            "context": song.context,
            "context_struck": _struck(song.context),
            "given_frames": song.given_frames,
        },
        "frames_per_second": song.frames_per_second,
        "duration": song.duration,
        "tempo": song.tempo,
        "program": song.program,
        "velocity": song.velocity,
        "degenerate": song.degenerate,
        "frames": song.frames,
        "struck": _struck(song.frames),
    }


def _struck(frames: Sequence[Frame]) -> list[Frame] | None:
    """Return the pitches that begin in each frame; None for plain frames."""
    if not any(isinstance(frame, StruckFrame) for frame in frames):
        return None
    return [frame.struck for frame in struck_frames(frames)]


class JsonFormat:
    """``.json``: one object on one line, in UTF-8."""

    name = "JSON"
    suffixes = (".json",)
    library = None

    def write(self, song: Song, file: BinaryIO) -> None:
        """Write the song."""
        text = json.dumps(song_values(song), separators=(",", ":"), ensure_ascii=False)
        file.write(f"{text}\n".encode())


FORMAT = JsonFormat()
