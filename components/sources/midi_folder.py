"""The MIDI files of a folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

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
