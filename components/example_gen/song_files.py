"""What ExampleGen does to one MIDI file, without Beam, so that any process can do it quickly."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from typing import NamedTuple

from tunesmith.components.example_gen.component import ExampleGenParameters
from tunesmith.components.records.songs import SongFrames, write_frames
from tunesmith.music import TrackChoice, UnusableFile, read_song
from tunesmith.music.reading import LARGEST_FILE, SongReading

DIGEST_BYTES = 16


class Song(NamedTuple):
    """A song that can be used.

    Attributes:
        digest: 16 bytes that name the music, see :func:`content_digest`.
        song_id: its path below the MIDI folder, as the file system's bytes.
        record: its frames, see :func:`tunesmith.components.records.songs.write_frames`.
        notes: what became of its notes, see :class:`tunesmith.music.note_counts.NoteCounts`.
    """

    digest: bytes
    song_id: bytes
    record: bytes
    notes: bytes


class Rejection(NamedTuple):
    """A file that cannot be used.

    Attributes:
        song_id: its path below the MIDI folder, as the file system's bytes.
        reason: one of :data:`tunesmith.music.errors.Reason`, or ``duplicate``.
        detail: what exactly, for a person.
    """

    song_id: bytes
    reason: str
    detail: str


def content_digest(song: SongReading) -> bytes:
    """Return 16 bytes that name the music itself, whatever the file is called.

    What is struck does not count, so that a corpus has the same songs in the same splits with
    onsets and without.
    """
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    digest.update(len(song.distinct).to_bytes(8, "little") + song.distinct.tobytes())
    digest.update(song.ids.astype("<i4").tobytes())
    return digest.digest()


def read_song_file(
    song_id: bytes, path: bytes, parameters: ExampleGenParameters, read: Callable[[bytes], bytes]
) -> Song | Rejection:
    """Read one MIDI file.

    Args:
        song_id: its path below the MIDI folder.
        path: where it lies.
        parameters: how to read it.
        read: returns the first ``LARGEST_FILE + 1`` bytes of a path, or raises OSError.
    """
    try:
        song = read_song(
            _content(path, read),
            TrackChoice.parse(parameters.track),
            parameters.grid.grid(),
            parameters.minimum_frames,
        )
    except UnusableFile as error:
        return Rejection(song_id, error.reason, error.detail)
    record = write_frames(SongFrames.of_reading(song_id, song))
    return Song(content_digest(song), song_id, record, song.notes.to_bytes())


def read_local_file(path: bytes) -> bytes:
    """Return the first ``LARGEST_FILE + 1`` bytes of a local file."""
    with open(path, "rb") as file:  # noqa: PTH123 - a path that need not be valid text
        return file.read(LARGEST_FILE + 1)


def _content(path: bytes, read: Callable[[bytes], bytes]) -> bytes:
    try:
        # A pipe or a device would be waited for, without end.
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - see read_local_file
            raise UnusableFile("unreadable", "not a regular file")
        return read(path)
    except OSError as error:
        detail = error.strerror or str(error) or type(error).__name__
        raise UnusableFile("unreadable", detail.replace(os.fsdecode(path), "it")) from error
