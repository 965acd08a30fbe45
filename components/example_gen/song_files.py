"""What ExampleGen does to one MIDI file, without Beam, so that any process can do it quickly."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from tunesmith.components.artifacts import Split
from tunesmith.components.records.songs import SongFrames, write_frames
from tunesmith.music import Grid, TrackChoice, UnusableFile, read_song
from tunesmith.music.reading import DEFAULT_MINIMUM_FRAMES, LARGEST_FILE, SongReading

DIGEST_BYTES = 16


@dataclass(frozen=True)
class ExampleGenParameters:
    """What ExampleGen is told.

    Args:
        track: a track choice, see :class:`tunesmith.music.TrackChoice`.
        grid: what a frame is; the paper's five a second by default.
        minimum_frames: shorter songs are rejected.
        eval_fraction: share of the songs held out, above 0 and below 1.
        test_fraction: share of the songs set aside besides, 0 for none.
    """

    track: str = "first"
    grid: Grid = field(default_factory=Grid)
    minimum_frames: int = DEFAULT_MINIMUM_FRAMES
    eval_fraction: float = 0.1
    test_fraction: float = 0.0

    def __post_init__(self) -> None:
        TrackChoice.parse(self.track)
        if not 0 < self.eval_fraction < 1:
            raise ValueError(f"the eval fraction must be between 0 and 1, not {self.eval_fraction}")
        if not 0 <= self.test_fraction < 1 - self.eval_fraction:
            raise ValueError(
                f"the test fraction must be 0 or more and leave songs to learn from beside the "
                f"eval fraction of {self.eval_fraction}, not {self.test_fraction}"
            )

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that a job writes."""
        return ("train", "eval", "test") if self.test_fraction else ("train", "eval")


class Song(NamedTuple):
    """A song that can be used.

    Attributes:
        digest: 16 bytes that name the music, see :func:`content_digest`.
        song_id: its path below the MIDI folder, as the file system's bytes.
        record: its frames, see :func:`tunesmith.components.records.songs.write_frames`.
    """

    digest: bytes
    song_id: bytes
    record: bytes


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
    """Return 16 bytes that name the music itself, whatever the file is called."""
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
            parameters.grid,
            parameters.minimum_frames,
        )
    except UnusableFile as error:
        return Rejection(song_id, error.reason, error.detail)
    record = write_frames(SongFrames(song_id, *song))
    return Song(content_digest(song), song_id, record)


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
