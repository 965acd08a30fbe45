"""MIDI to frames to tokens, and back.

Pure functions and dataclasses over numpy and pretty_midi. This package does not depend on
TensorFlow, Beam or gRPC, so that the client, the Beam workers and the server can share it.
"""

from typing import TYPE_CHECKING, Any

from tunesmith.music.corpus import CorpusSettings
from tunesmith.music.errors import MusicError, UnknownFrame, UnusableFile
from tunesmith.music.frames import REST, REST_NAME, Frame, frame_name, parse_frame
from tunesmith.music.grid import Grid
from tunesmith.music.notation import DEFAULT_VELOCITY, notes_from_frames, to_pretty_midi, write_midi
from tunesmith.music.struck import StruckFrame
from tunesmith.music.tracks import TrackChoice
from tunesmith.music.vocabulary import REST_TOKEN, Vocabulary

if TYPE_CHECKING:
    from tunesmith.music.reading import read_sequence, read_song

__all__ = [
    "DEFAULT_VELOCITY",
    "REST",
    "REST_NAME",
    "REST_TOKEN",
    "CorpusSettings",
    "Frame",
    "Grid",
    "MusicError",
    "StruckFrame",
    "TrackChoice",
    "UnknownFrame",
    "UnusableFile",
    "Vocabulary",
    "frame_name",
    "notes_from_frames",
    "parse_frame",
    "read_sequence",
    "read_song",
    "to_pretty_midi",
    "write_midi",
]


def __getattr__(name: str) -> Any:
    """Import the MIDI reader at its first use: most clients only compose and write."""
    if name in ("read_sequence", "read_song"):
        from tunesmith.music import reading

        return getattr(reading, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
