"""A zip or tar archive of MIDI files as a source of songs, read without extracting it.

Nothing of it reaches the disk, and no name in it is ever opened as a path. A member that is a link,
is encrypted, or whose name leads out of the archive is a rejected song. What an archive may expand
to is bounded, so that one made to fill the memory ends with an error.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from tunesmith.components.artifacts import MidiArchive
from tunesmith.components.errors import NoSongs, UnusableSource
from tunesmith.components.sources.source import (
    ARCHIVE_SUFFIXES,
    MIDI_SUFFIXES,
    Files,
    Source,
)
from tunesmith.music.errors import UnusableFile
from tunesmith.music.reading import LARGEST_FILE

LARGEST_RATIO = 200
"""Times that an archive, or a large member of a zip, may expand. MIDI files shrink to a tenth at
the most, apart from some of a few kilobytes; gzip and deflate allow 1000 times, xz 7000."""

SMALL = 2**26
"""Bytes up to which an archive may expand whatever its size."""

_BLOCK = 2**16

_COMPRESSIONS: Sequence[tuple[bytes, Callable[[IO[bytes]], Any]]] = (
    (b"\x1f\x8b", lambda file: gzip.GzipFile(fileobj=file)),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\x00", lzma.LZMAFile),
)

_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    NotImplementedError,
    MemoryError,
    OSError,
    ValueError,
)
"""Exceptions of the libraries for an unreadable archive."""


class ArchiveSource(Source):
    """Every file of some suffixes in an archive.

    A song's id is its path in the archive, without a top folder of the archive's own name: packing
    the folder ``songs`` or what is in it gives the ids of the folder itself. Of several members of
    one name the last one counts, as if the archive were extracted.
    """

    artifact = MidiArchive

    def __init__(self, path: Path, suffixes: Sequence[str] = MIDI_SUFFIXES) -> None:
        super().__init__(path)
        self._suffixes = tuple(suffixes)
        self._archive: _Zip | _Tar | None = None

    @property
    def reads_in_order(self) -> bool:
        """Whether it is a compressed tar, which can only be read from its beginning."""
        opened = self._opened()
        return isinstance(opened, _Tar) and opened.compression is not None

    def files(self) -> Files:
        """Return every file; see :meth:`Source.files`."""
        found: dict[bytes, bytes] = {}
        with _one_line_errors(self.path):
            for name, location in self._opened().members(self._suffixes):
                song_id, problem = self._song_id(name)
                if problem:
                    location = _refused("unreadable", problem)
                found.pop(song_id, None)
                found[song_id] = location
        if not found:
            kind = "MIDI files" if self._suffixes == MIDI_SUFFIXES else "scores"
            suffixes = ", ".join(self._suffixes)
            raise UnusableSource(f"{self.path} has no {kind} ({suffixes})")
        # A compressed one stays in its own order.
        return list(found.items()) if self.reads_in_order else sorted(found.items())

    def read(self, location: bytes) -> bytes:
        """Return the first ``LARGEST_FILE + 1`` bytes of a member; see :meth:`Source.read`."""
        if location.startswith(b"!"):
            reason, _, detail = location[1:].decode("utf-8", "replace").partition(":")
            raise UnusableFile(cast("Any", reason), detail)
        return self._opened().read(location)

    def content_digest(self, location: bytes) -> bytes:
        """Return a member's digest; see :meth:`Source.content_digest`."""
        known = self._opened().digests.get(location)
        return super().content_digest(location) if known is None else known

    def _opened(self) -> _Zip | _Tar:
        if self._archive is None:
            with _one_line_errors(self.path):
                is_zip = zipfile.is_zipfile(self.path)
                self._archive = _Zip(self.path) if is_zip else _Tar(self.path)
        return self._archive

    def _song_id(self, name: bytes) -> tuple[bytes, str]:
        """Return the song's id, and what is wrong with its name."""
        if b"\0" in name:
            return name.replace(b"\0", b"?"), "its name has a zero byte"
        parts = [part for part in name.split(b"/") if part not in (b"", b".")]
        if name.startswith(b"/") or b".." in parts:
            return name, "its name leads out of the archive"
        lower = self.path.name.lower()
        suffix = max(
            (each for each in ARCHIVE_SUFFIXES if lower.endswith(each)), key=len, default=""
        )
        own = os.fsencode(self.path.name[: len(lower) - len(suffix)])
        if len(parts) > 1 and parts[0] == own:
            del parts[0]
        return b"/".join(parts), ""


def _refused(reason: str, detail: str) -> bytes:
    """Return the location of a member that is listed only to be rejected."""
    return f"!{reason}:{detail}".encode()


@contextmanager
def _one_line_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except NoSongs:
        raise
    except FileNotFoundError as error:
        raise UnusableSource(f"{path} does not exist: give an archive") from error
    except _BROKEN as error:
        detail = " ".join(str(error).split()) or type(error).__name__
        raise UnusableSource(f"{path} cannot be read as an archive: {detail}") from error


class _Zip:
    """A zip archive; a location is a member's place in its directory."""

    def __init__(self, path: Path) -> None:
        self._file = zipfile.ZipFile(path)
        self._members = self._file.infolist()
        # One piece of data under many names would expand without end.
        if sum(info.compress_size for info in self._members) > path.stat().st_size:
            raise zipfile.BadZipFile("its members overlap")
        self.digests: dict[bytes, bytes] = {}

    def members(self, suffixes: tuple[str, ...]) -> Iterator[tuple[bytes, bytes]]:
        for place, info in enumerate(self._members):
            # What macOS keeps beside each file is no file of the user's.
            if info.filename.lower().endswith(suffixes) and not info.filename.startswith(
                "__MACOSX/"
            ):
                yield _zip_name(info), _zip_problem(info) or str(place).encode()

    def read(self, location: bytes) -> bytes:
        with self._file.open(self._members[int(location)]) as file:
            return file.read(LARGEST_FILE + 1)


def _zip_name(info: zipfile.ZipInfo) -> bytes:
    is_unicode = info.flag_bits & 0x800 or info.filename != info.orig_filename
    if is_unicode or info.filename.isascii():
        return os.fsencode(info.filename)
    # Python takes a name that does not say how it is written as that of a DOS disk.
    return info.filename.encode("cp437", "replace")


def _zip_problem(info: zipfile.ZipInfo) -> bytes:
    if info.flag_bits & 0x1:
        return _refused("unreadable", "it is encrypted")
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return _refused("unreadable", "not a regular file")
    if info.file_size > 2**20 and info.file_size > LARGEST_RATIO * info.compress_size:
        return _refused("too large", f"it expands more than {LARGEST_RATIO} times")
    return b""


class _Tar:
    """A tar archive, perhaps compressed; a location is ``<offset>:<size>`` of a member's data.

    Its digests are taken on the way, as every member has to be passed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            start = file.read(8)
        self.compression = next((c for magic, c in _COMPRESSIONS if start.startswith(magic)), None)
        self._data: _Forward | None = None
        self.digests: dict[bytes, bytes] = {}

    def members(self, suffixes: tuple[str, ...]) -> Iterator[tuple[bytes, bytes]]:
        data = self._from_start()
        archive: Any = tarfile.open(fileobj=cast("IO[bytes]", data), mode="r:")  # noqa: SIM115
        while (info := archive.next()) is not None:
            # Otherwise it keeps each member that it has passed.
            archive.members.clear()
            if info.name.lower().endswith(suffixes) and not info.isdir():
                name = info.name.encode("utf-8", "surrogateescape")
                if not info.isreg() or info.issparse():
                    yield name, _refused("unreadable", "not a regular file")
                    continue
                location = f"{info.offset_data}:{info.size}".encode()
                if self.compression is not None:
                    self.digests[location] = data.digest(info.offset_data, info.size)
                yield name, location

    def read(self, location: bytes) -> bytes:
        offset, size = map(int, location.split(b":"))
        data = self._data
        if data is None or (self.compression is not None and data.tell() > offset):
            data = self._from_start()
        data.seek(offset)
        size = min(size, LARGEST_FILE + 1)
        content = data.read(size)
        if len(content) < size:
            raise UnusableFile("unreadable", "the archive ends within it")
        return content

    def _from_start(self) -> _Forward:
        if self._data is not None:
            self._data.close()
        self._data = _Forward(self._path, self.compression)
        return self._data


class _Forward:
    """The content of a tar file, expanded; seeks forward, or anywhere if it is not compressed."""

    def __init__(self, path: Path, compression: Callable[[IO[bytes]], Any] | None) -> None:
        self._file = path.open("rb")
        self._is_plain = compression is None
        self._expanded: Any = self._file if compression is None else compression(self._file)
        self._place = 0
        self._most = max(SMALL, LARGEST_RATIO * path.stat().st_size)

    def close(self) -> None:
        self._file.close()

    def tell(self) -> int:
        return self._place

    def seek(self, place: int) -> None:
        if self._is_plain:
            self._place = self._file.seek(place)
        while self._place < place and self.read(min(_BLOCK, place - self._place)):
            continue

    def read(self, size: int) -> bytes:
        # More can only be a header, such as a member's name, that is made to fill the memory.
        if size > LARGEST_FILE + 1:
            raise tarfile.ReadError(f"a header of {size} bytes")
        content: bytes = self._expanded.read(size)
        self._place += len(content)
        if self._place > self._most and not self._is_plain:
            raise tarfile.ReadError(f"it expands more than {LARGEST_RATIO} times")
        return content

    def digest(self, offset: int, size: int) -> bytes:
        """Return the BLAKE2b digest of some bytes."""
        self.seek(offset)
        digest = hashlib.blake2b()
        while size > 0 and (content := self.read(min(_BLOCK, size))):
            digest.update(content)
            size -= len(content)
        return digest.digest()
