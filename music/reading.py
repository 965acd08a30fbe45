"""From a MIDI file to a sequence of frames, as pretty_midi's ``get_piano_roll`` sees it."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.music.errors import UnusableFile
from tunesmith.music.frames import Frame, frames_from_piano_roll, merge_frames, trim
from tunesmith.music.tracks import TrackChoice

if TYPE_CHECKING:
    import pretty_midi

DEFAULT_FRAMES_PER_SECOND = 5.0
"""The paper's ``fs`` of ``get_piano_roll``: a frame is a fifth of a second."""

DEFAULT_MINIMUM_FRAMES = 10
"""Two seconds at the default speed; less is a test tone, not a song."""


def parse_midi(data: bytes) -> pretty_midi.PrettyMIDI:
    """Parse a Standard MIDI File.

    Raises:
        UnusableFile: the bytes are not a MIDI file that pretty_midi reads.
    """
    import pretty_midi

    with warnings.catch_warnings():
        # Tempo events outside track 0 are common in real collections; pretty_midi reads them.
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            return pretty_midi.PrettyMIDI(io.BytesIO(data))
        except Exception as error:
            # mido and pretty_midi raise what their parsing happens to trip over (EOFError,
            # OSError, ValueError, KeyError, IndexError, ZeroDivisionError, …); whichever it is,
            # it is a fact about the file.
            raise UnusableFile("malformed", f"{type(error).__name__}: {error}") from error


def read_sequence(
    midi: pretty_midi.PrettyMIDI | bytes | Path,
    track: TrackChoice,
    frames_per_second: float = DEFAULT_FRAMES_PER_SECOND,
    minimum_frames: int = 1,
) -> list[Frame]:
    """Return the frames of a song from its first sounding frame to its last.

    The sustain pedal lengthens notes and pitch bends move them, as ``get_piano_roll`` does it; note
    times are truncated to frames (``int(time * frames_per_second)``), so that a note shorter than
    a frame may vanish.

    Args:
        midi: a parsed file, the bytes of one, or its path.
        track: which instruments to read; several are merged frame by frame.
        frames_per_second: columns of the piano roll per second.
        minimum_frames: shorter sequences are refused.

    Raises:
        UnusableFile: with the reason.
    """
    if isinstance(midi, Path):
        try:
            midi = midi.read_bytes()
        except OSError as error:
            raise UnusableFile("unreadable", f"{error.strerror or error}") from error
    if isinstance(midi, bytes):
        midi = parse_midi(midi)
    rolls = [each.get_piano_roll(fs=frames_per_second) for each in track.select(midi.instruments)]
    frames = trim(merge_frames([frames_from_piano_roll(roll) for roll in rolls]))
    if not frames:
        raise UnusableFile("no notes", f"{track} has no note as long as a frame")
    if len(frames) < minimum_frames:
        raise UnusableFile("too short", f"{len(frames)} frames, fewer than {minimum_frames}")
    return frames
