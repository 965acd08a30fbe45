"""The protocol of sources of songs, and the built-in sources.

A source lists the songs below a path of the user, and reads each as the bytes of a MIDI file.
Built-in sources are modules of this package; others are plug-ins of the kind ``sources``
(:mod:`tunesmith.plugins`): a class that extends :class:`Source`. Every process that reads songs
opens the source for itself, by its name.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, cast

from tunesmith.components.artifacts import SongFiles, digest_of
from tunesmith.components.errors import ComponentError, UnusableSource
from tunesmith.plugins import (
    PluginError,
    find_plugin,
    load_plugin,
    plugin_names,
    plugin_path,
    set_plugin_path,
)

KIND = "sources"

AUTO = "auto"
"""The source that fits what the path names; see :func:`find_source`."""

_BUILT_IN = {
    "folder": "tunesmith.components.sources.midi_folder:FolderSource",
    "archive": "tunesmith.components.sources.archive:ArchiveSource",
    "scores": "tunesmith.components.sources.scores:ScoreSource",
}

MIDI_SUFFIXES = (".mid", ".midi")
SCORE_SUFFIXES = (".musicxml", ".mxl", ".xml", ".abc")
ARCHIVE_SUFFIXES = (
    *(".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".tbz"),
)

Files = Sequence[tuple[bytes, bytes]]
"""(song_id, location) of each song. A song's id is its path below the source, in the file system's
bytes; a location is for :meth:`Source.read` and holds no zero byte."""


class Source(ABC):
    """Songs below a path.

    Args:
        path: the parameter ``midi_dir``, absolute.
    """

    files_a_process: ClassVar[int] = 50
    """Fewer songs are not worth a process of their own, which takes a quarter of a second to
    start."""

    distributions: ClassVar[tuple[str, ...]] = ()
    """Installed distributions whose version decides what the songs are, such as ``music21``."""

    artifact: ClassVar[type[SongFiles]] = SongFiles
    """The type of artifact that lineage shows."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def reads_in_order(self) -> bool:
        """Whether reading is quick only in the order of :meth:`files`: no, unless overridden."""
        return False

    @abstractmethod
    def files(self) -> Iterable[tuple[bytes, bytes]]:
        """Return the songs as :data:`Files`, each id once.

        A song that cannot be read is listed all the same: :meth:`read` says why.

        Raises:
            ComponentError: the path cannot be read at all, or holds no song.
        """

    @abstractmethod
    def read(self, location: bytes) -> bytes:
        """Return a song as the bytes of a MIDI file.

        At most :data:`tunesmith.music.reading.LARGEST_FILE` + 1 bytes: more are rejected as too
        large. Whatever is raised rejects this song; a :class:`ComponentError` ends the job.

        Args:
            location: of one of :meth:`files`, perhaps as another process listed them.
        """

    def content_digest(self, location: bytes) -> bytes:
        """Return a BLAKE2b digest of the song's content; nothing for one that cannot be read."""
        try:
            return blake2b(self.read(location))
        except ComponentError:
            raise
        except Exception:  # noqa: BLE001 - ExampleGen reports why it cannot be read
            return b""


@dataclass(frozen=True)
class SourceReference:
    """A source as other processes open it.

    Args:
        name: of the source.
        path: what it lists, absolute.
        plugin_path: folders that hold plug-ins, where they are.
    """

    name: str
    path: str
    plugin_path: tuple[str, ...] = field(default_factory=plugin_path)

    def open(self) -> Source:
        """Return the source.

        Raises:
            PluginError: it is a plug-in and cannot be loaded.
        """
        there = [each for each in self.plugin_path if Path(each).is_dir()]
        if not {*there} <= {*plugin_path()}:
            set_plugin_path([*plugin_path(), *there])
        return source_class(self.name)(Path(self.path))


@dataclass(frozen=True)
class ListedSongs:
    """The songs of a source.

    Args:
        source: the source.
        files: its songs.
        in_order: see :attr:`Source.reads_in_order`.
        digests: (song_id, BLAKE2b digest of 64 bytes) of each, sorted; the digest of a song that
            cannot be read is empty.
        digest: of all songs' ids and contents: names what the source holds.
    """

    source: SourceReference
    files: Files
    in_order: bool = False
    digests: Sequence[tuple[bytes, bytes]] = ()
    digest: str = ""


def source_names() -> tuple[str, ...]:
    """Return the names of all sources: built-in ones, then those of installed packages."""
    return (AUTO, *_BUILT_IN, *(each for each in plugin_names(KIND) if each not in _BUILT_IN))


def source_class(name: str) -> type[Source]:
    """Import a source.

    Args:
        name: a built-in source, an installed plug-in or ``module:object``.

    Raises:
        PluginError: there is none of this name, or it does not extend :class:`Source`.
    """
    if name in _BUILT_IN:
        module, _, attribute = _BUILT_IN[name].partition(":")
        return cast("type[Source]", getattr(importlib.import_module(module), attribute))
    found = load_plugin(KIND, name)
    if not (isinstance(found, type) and issubclass(found, Source)):
        raise PluginError(
            f"{name} is not a source: it must be a class that extends {__name__}.Source"
        )
    return found


def source_modules(name: str) -> tuple[str, ...]:
    """Return the module that defines a source; what it imports is its code, too.

    Raises:
        PluginError: there is none of this name.
    """
    if name in _BUILT_IN:
        return (_BUILT_IN[name].partition(":")[0],)
    return (find_plugin(KIND, name).module,)


def find_source(path: Path, name: str = AUTO) -> SourceReference:
    """Return the source for a path.

    Args:
        path: the parameter ``midi_dir``.
        name: of a source, or :data:`AUTO` for the one that fits: ``folder`` for a folder,
            ``archive`` for a file whose name ends as an archive's.

    Raises:
        UnusableSource: no source fits.
    """
    if name == AUTO:
        name = _fitting(path)
    return SourceReference(name, str(path.absolute()))


def _fitting(path: Path) -> str:
    if path.is_dir():
        return "folder"
    if not path.exists():
        raise UnusableSource(f"{path} is not a folder or an archive: give a folder of MIDI files")
    if path.name.lower().endswith(ARCHIVE_SUFFIXES):
        return "archive"
    if path.name.lower().endswith((*MIDI_SUFFIXES, *SCORE_SUFFIXES)):
        raise UnusableSource(f"{path} is a single file: give its folder")
    raise UnusableSource(
        f"{path} is neither a folder nor an archive ({', '.join(ARCHIVE_SUFFIXES)}): give one of "
        "these, or set example_gen.source"
    )


def list_songs(path: Path, name: str = AUTO) -> ListedSongs:
    """Return the songs of a path without reading them.

    Args:
        path: see :func:`find_source`.
        name: see :func:`find_source`.

    Raises:
        ComponentError: the path cannot be read, or holds no song.
        PluginError: the source cannot be loaded.
    """
    reference = find_source(path, name)
    source = reference.open()
    return ListedSongs(reference, list(source.files()), source.reads_in_order)


def read_source(path: Path, name: str = AUTO) -> SongFiles:
    """Return the user's songs as an artifact, its digest taken over names and contents.

    Args:
        path: see :func:`find_source`.
        name: see :func:`find_source`.

    Raises:
        ComponentError: the path cannot be read, or holds no song.
        PluginError: the source cannot be loaded.
    """
    reference = find_source(path, name)
    source = reference.open()
    files = list(source.files())
    # In the order of the files, which may be the only quick one.
    digests = sorted((song_id, source.content_digest(place)) for song_id, place in files)
    parts = [part for song in digests for part in song]
    versions = [f"{each} {_version(each)}" for each in source.distributions]
    listed = ListedSongs(
        reference, files, source.reads_in_order, digests, digest_of([*parts, *versions])
    )
    return source.artifact(path, listed.digest, listed)


def blake2b(content: bytes) -> bytes:
    """Return the BLAKE2b digest of some bytes, 64 bytes."""
    # hashlib loads OpenSSL, and --help imports this module.
    import hashlib

    return hashlib.blake2b(content).digest()


def _version(distribution: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""
