"""MIDI: the song as a Standard MIDI File."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from tunesmith.client.song import Song


class MidiFormat:
    """``.mid``: :meth:`tunesmith.client.Song.to_pretty_midi`; it reads back as the same frames."""

    name = "MIDI"
    suffixes = (".mid", ".midi")
    library = None

    def write(self, song: Song, file: BinaryIO) -> None:
        """Write the song."""
        song.to_pretty_midi().write(file)


FORMAT = MidiFormat()
