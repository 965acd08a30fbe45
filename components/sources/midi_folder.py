"""A folder of MIDI files as a source of songs."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from tunesmith.components.artifacts import MidiFolder, file_digest
from tunesmith.components.errors import UnusableSource
from tunesmith.components.sources.source import MIDI_SUFFIXES, SCORE_SUFFIXES, Files, Source


class FolderSource(Source):
    """Every file of some suffixes below a folder. A location is a file's absolute path.

    Links to folders are not followed, so that a loop of links ends.
    """

    artifact = MidiFolder

    def __init__(self, path: Path, suffixes: Sequence[str] = MIDI_SUFFIXES) -> None:
        super().__init__(path)
        self._suffixes = tuple(suffixes)

    def files(self) -> Files:
        """Return every file, sorted; see :meth:`Source.files`."""
        if not self.path.is_dir():
            raise UnusableSource(f"{self.path} is not a folder: give a folder of MIDI files")
        found, scores = [], 0
        for folder, _, names in os.walk(self.path):
            for name in names:
                if name.lower().endswith(self._suffixes):
                    path = Path(folder, name)
                    song_id = path.relative_to(self.path).as_posix()
                    found.append((os.fsencode(song_id), os.fsencode(path.absolute())))
                scores += name.lower().endswith(SCORE_SUFFIXES)
        if not found:
            raise UnusableSource(self._problem(scores))
        return sorted(found)

    def _problem(self, scores: int) -> str:
        reads_midi = self._suffixes == MIDI_SUFFIXES
        kind = "MIDI files" if reads_midi else "scores"
        here = f"{self.path} has no {kind} ({', '.join(self._suffixes)})"
        if scores and reads_midi:
            return (
                f"{here}, but {scores} scores: set example_gen.source to scores "
                "(pip install 'tunesmith[scores]')"
            )
        return f"{here}: give a folder with {kind}"

    def read(self, location: bytes) -> bytes:
        """Return the first ``LARGEST_FILE + 1`` bytes of a file; see :meth:`Source.read`."""
        # Listing needs no numpy, and begins before it is imported.
        from tunesmith.music.errors import UnusableFile
        from tunesmith.music.reading import LARGEST_FILE

        # A pipe or a device would be waited for, without end.
        if not stat.S_ISREG(os.stat(location).st_mode):  # noqa: PTH116 - need not be valid text
            raise UnusableFile("unreadable", "not a regular file")
        with open(location, "rb") as file:  # noqa: PTH123 - need not be valid text
            return file.read(LARGEST_FILE + 1)

    def content_digest(self, location: bytes) -> bytes:
        """Return the digest of the whole file; see :meth:`Source.content_digest`."""
        path = Path(os.fsdecode(location))
        try:
            return file_digest(path) if stat.S_ISREG(path.stat().st_mode) else b""
        except OSError:
            return b""
