"""A format of one's own: a frame a line, its pitches by name, C4 E4 G4, or a dash for a rest.

tunesmith generate --plugin-path docs/examples --format pitch_names_format:PitchNames --out song.txt
"""

from typing import BinaryIO

from tunesmith.client import Song
from tunesmith.client.pitches import pitch_name


class PitchNames:
    name = "pitch names"
    suffixes = (".txt",)
    library = None

    def write(self, song: Song, file: BinaryIO) -> None:
        lines = (" ".join(map(pitch_name, frame)) or "-" for frame in song.frames)
        file.write("\n".join(lines).encode() + b"\n")
