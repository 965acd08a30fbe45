"""A folder of MIDI files as the source of songs."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tunesmith.components.artifacts import MidiFolder, digest_of, file_digest
from tunesmith.components.errors import NoSongs

MIDI_SUFFIXES = (".mid", ".midi")

MidiFiles = Sequence[tuple[bytes, bytes]]
"""(song_id, path) of each MIDI file, as file-system bytes."""


def list_midi_files(midi_dir: Path) -> MidiFiles:
    """Return every MIDI file below `midi_dir`, sorted.

    A song's id is its path below `midi_dir`. Links to folders are not followed, so that a loop of
    links ends.

    Raises:
        NoSongs: the folder is not there or holds no MIDI file.
    """
    if not midi_dir.is_dir():
        raise NoSongs(f"{midi_dir} is not a folder: give --midi-dir a folder of MIDI files")
    found = []
    for folder, _, names in os.walk(midi_dir):
        for name in names:
            if name.lower().endswith(MIDI_SUFFIXES):
                path = Path(folder, name)
                song_id = path.relative_to(midi_dir).as_posix()
                found.append((os.fsencode(song_id), os.fsencode(path.absolute())))
    if not found:
        raise NoSongs(f"no MIDI files (.mid, .midi) in {midi_dir} or below: nothing to learn from")
    return sorted(found)


@dataclass(frozen=True)
class ListedMidiFolder(MidiFolder):
    """A folder of MIDI files that knows what it holds.

    Args:
        files: (path below the folder as file-system bytes, BLAKE2b digest of 64 bytes) of each
            file, sorted; the digest of one that cannot be read is empty. The folder's own digest
            is taken over them.
    """

    files: tuple[tuple[bytes, bytes], ...] = field(default=(), repr=False, compare=False)

    def midi_files(self) -> MidiFiles:
        """Return the files as ExampleGen reads them."""
        folder = os.fsencode(self.path.absolute())
        return [(song_id, folder + b"/" + song_id) for song_id, _ in self.files]


def read_midi_folder(path: Path) -> ListedMidiFolder:
    """Return the user's folder as an artifact, its digest taken over names and contents.

    Raises:
        NoSongs: the folder is not there or holds no MIDI file.
    """
    parts: list[bytes] = []
    listed = []
    for song_id, file in list_midi_files(path):
        named = _digest(Path(os.fsdecode(file)))
        parts += [song_id, named]
        listed.append((song_id, named))
    return ListedMidiFolder(path, digest_of(parts), tuple(listed))


def _digest(path: Path) -> bytes:
    """Return a file's digest; nothing for one that ExampleGen will report as unreadable."""
    try:
        # A pipe or a device would be waited for, without end.
        return file_digest(path) if stat.S_ISREG(path.stat().st_mode) else b""
    except OSError:
        return b""
