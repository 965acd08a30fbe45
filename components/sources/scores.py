"""Scores as a source of songs: MusicXML and ABC, read by music21.

A score becomes a MIDI file by music21's own writer: each part is a track of the part's name, with
the pitches that sound (not those written for a transposing instrument), repeats played, and the
score's tempi. A file of several ABC tunes is as many songs, ``tunes.abc#1`` and so on.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tunesmith.components.artifacts import Scores
from tunesmith.components.errors import ComponentError
from tunesmith.components.sources.archive import ArchiveSource
from tunesmith.components.sources.midi_folder import FolderSource
from tunesmith.components.sources.source import SCORE_SUFFIXES, Files, Source, blake2b
from tunesmith.music.errors import UnusableFile
from tunesmith.music.reading import LARGEST_FILE

_TUNE = re.compile(rb"^X:", re.MULTILINE)
"""Begins a tune in an ABC file; what stands before the first one is for all of them."""

_NUMBER = re.compile(rb"#(\d+)\Z")


class MissingMusic21(ComponentError):
    """music21 is not installed."""

    def __init__(self) -> None:
        super().__init__("example_gen.source scores needs music21: pip install 'tunesmith[scores]'")


class ScoreSource(Source):
    """Every score in a folder, or in a zip or tar archive.

    A location is that of the file; for one of several tunes in a file, ``#`` and its number follow.
    """

    artifact = Scores
    files_a_process = 4
    distributions = ("music21",)

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        kind = ArchiveSource if path.is_file() else FolderSource
        self._files: ArchiveSource | FolderSource = kind(path, SCORE_SUFFIXES)

    @property
    def reads_in_order(self) -> bool:
        """Whether the files are in a compressed archive."""
        return self._files.reads_in_order

    def files(self) -> Files:
        """Return every score; see :meth:`Source.files`.

        Raises:
            MissingMusic21: music21 is not installed.
        """
        if find_spec("music21") is None:
            raise MissingMusic21
        return [song for each in self._files.files() for song in self._songs(*each)]

    def _songs(self, song_id: bytes, location: bytes) -> Iterator[tuple[bytes, bytes]]:
        tunes = 1
        if song_id.lower().endswith(b".abc"):
            # One that cannot be read is rejected when its turn comes.
            with suppress(Exception):
                tunes = len(_TUNE.findall(self._files.read(location)))
        if tunes <= 1:
            yield song_id, location
            return
        for number in range(1, tunes + 1):
            mark = b"#%d" % number
            yield song_id + mark, location + mark

    def read(self, location: bytes) -> bytes:
        """Return a score as MIDI; see :meth:`Source.read`.

        Raises:
            MissingMusic21: music21 is not installed here.
        """
        if find_spec("music21") is None:
            raise MissingMusic21
        return _midi_of(self._content(location))

    def content_digest(self, location: bytes) -> bytes:
        """Return the digest of the score as it was written; see :meth:`Source.content_digest`."""
        try:
            return blake2b(self._content(location))
        except Exception:  # noqa: BLE001 - ExampleGen reports why it cannot be read
            return b""

    def _content(self, location: bytes) -> bytes:
        """Return the bytes of a score: a file, or one tune of it with what precedes the first."""
        marked = _NUMBER.search(location)
        if marked is None:
            content = self._files.read(location)
        else:
            shared, *tunes = _TUNE.split(self._files.read(location[: marked.start()]))
            number, _, tune = tunes[int(marked[1]) - 1].partition(b"\n")
            # A tune begins with its number.
            content = b"X:" + number + b"\n" + shared.strip() + b"\n" + tune
        if len(content) > LARGEST_FILE:
            raise UnusableFile("too large", f"more than {LARGEST_FILE} bytes")
        return content


def _midi_of(content: bytes) -> bytes:
    """Return a score as the bytes of a MIDI file.

    Raises:
        UnusableFile: music21 cannot read it.
    """
    from music21 import converter, midi

    try:
        if content.startswith(b"PK"):
            score = converter.parse(_unpacked(content), format="musicxml")
        elif content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"<", b"\xff\xfe", b"\xfe\xff")):
            score = converter.parse(content, format="musicxml")
        else:
            score = converter.parse(_text(content), format="abc")
        score = _sounding(score)
        written: bytes = midi.translate.music21ObjectToMidiFile(score).writestr()
    except UnusableFile:
        raise
    except Exception as error:
        # music21 raises what its parsing happens to trip over; it is a fact about the file.
        raise UnusableFile("malformed", f"{type(error).__name__}: {error}") from error
    return written


def _sounding(score: Any) -> Any:
    """Return a score as it is played: at its sounding pitch, with repeats expanded."""
    from music21.exceptions21 import Music21Exception

    score = score.toSoundingPitch()
    # Repeats that lead nowhere are left as they are written.
    with suppress(Music21Exception):
        return score.expandRepeats()
    return score


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _unpacked(content: bytes) -> bytes:
    """Return the score in a compressed MusicXML file (.mxl): the first one that it names.

    Raises:
        UnusableFile: it is too large.
        Exception: it is not such a file.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        with file.open("META-INF/container.xml") as named:
            root = ElementTree.fromstring(named.read(2**16))
        place = next(each for each in root.iter() if each.tag.endswith("rootfile"))
        with file.open(place.attrib["full-path"]) as packed:
            score = packed.read(LARGEST_FILE + 1)
    if len(score) > LARGEST_FILE:
        raise UnusableFile("too large", f"it expands to more than {LARGEST_FILE} bytes")
    return score
