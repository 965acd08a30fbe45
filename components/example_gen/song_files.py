"""ExampleGen's work on one song, without Beam, so that any process can do it quickly."""

from __future__ import annotations

import hashlib
import os
from typing import NamedTuple

from tunesmith.components.errors import ComponentError
from tunesmith.components.example_gen.component import ExampleGenParameters
from tunesmith.components.records.songs import SongFrames, write_frames
from tunesmith.components.sources.source import Source
from tunesmith.music import TrackChoice, UnusableFile, read_song
from tunesmith.music.reading import SongReading

DIGEST_BYTES = 16


class Song(NamedTuple):
    """A song that can be used.

    Attributes:
        digest: 16 bytes that name the music, see :func:`content_digest`.
        song_id: its path below the source, as the file system's bytes.
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
        song_id: its path below the source, as the file system's bytes.
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
    song_id: bytes, location: bytes, parameters: ExampleGenParameters, source: Source
) -> Song | Rejection:
    """Read one song.

    Args:
        song_id: its path below the source.
        location: where the source has it.
        parameters: how to read it.
        source: the source.

    Raises:
        ComponentError: the source cannot be read here at all.
    """
    try:
        song = read_song(
            _content(location, source),
            TrackChoice.parse(parameters.track),
            parameters.grid.grid(),
            parameters.minimum_frames,
        )
    except UnusableFile as error:
        return Rejection(song_id, error.reason, error.detail)
    record = write_frames(SongFrames.of_reading(song_id, song))
    return Song(content_digest(song), song_id, record, song.notes.to_bytes())


def _content(location: bytes, source: Source) -> bytes:
    try:
        return source.read(location)
    except (ComponentError, UnusableFile):
        raise
    except OSError as error:
        detail = error.strerror or str(error) or type(error).__name__
        raise UnusableFile("unreadable", detail.replace(os.fsdecode(location), "it")) from error
    except Exception as error:
        # The libraries of formats, and a user's own source, raise what they trip over; whichever it
        # is, it is a fact about this song.
        detail = " ".join(f"{type(error).__name__}: {error}".split())
        raise UnusableFile("unreadable", detail) from error
