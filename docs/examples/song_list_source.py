"""A source of one's own: the MIDI files whose paths stand in a text file, a line each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tunesmith.components.errors import NoSongs
from tunesmith.components.sources.source import Source


class SongList(Source):
    """Relative paths are relative to the folder of the text file."""

    def files(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield (song_id, location) of each song; here both are its line."""
        lines = self.path.read_bytes().splitlines()
        if not lines:
            raise NoSongs(f"{self.path} is empty: write the path of a MIDI file in each line")
        for line in lines:
            yield line, line

    def read(self, location: bytes) -> bytes:
        """Return the bytes of a MIDI file; what is raised here rejects this song alone."""
        return (self.path.parent / Path(location.decode())).read_bytes()
