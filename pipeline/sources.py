"""Names of what a run starts from: the user's files, and the program's own source."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tunesmith.components.artifacts import MidiFolder
from tunesmith.components.sources.midi_folder import MidiFiles


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


def midi_folder(path: Path, files: Iterable[tuple[bytes, bytes]]) -> ListedMidiFolder:
    """Return the user's folder as an artifact, its digest taken over names and contents.

    Args:
        path: the folder.
        files: (song_id, path) of its MIDI files, as file-system bytes, sorted.
    """
    digest = hashlib.blake2b(digest_size=16)
    listed = []
    for song_id, file in files:
        try:
            named = _file_digest(Path(os.fsdecode(file)))
        except OSError:
            # Such a file is a finding of ExampleGen; here it only has to be told apart.
            named = b""
        digest.update(len(song_id).to_bytes(8, "big") + song_id + named)
        listed.append((song_id, named))
    return ListedMidiFolder(path, digest.hexdigest(), tuple(listed))


def _file_digest(path: Path) -> bytes:
    # A pipe or a device would be waited for, without end.
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(f"{path} is not a regular file")
    with path.open("rb") as file:
        return hashlib.file_digest(file, hashlib.blake2b).digest()


def content_digest(folder: Path) -> str:
    """Return a digest of the names and contents of all files below a folder, 32 hex digits.

    For a folder that no record tells of.

    Raises:
        OSError: something in it cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = os.fsencode(path.relative_to(folder))
            digest.update(len(name).to_bytes(8, "big") + name)
            digest.update(_file_digest(path))
    return digest.hexdigest()


def source_digest(modules: Iterable[str]) -> str:
    """Return a digest of the source of `modules`; a package stands for every module in it.

    Raises:
        ModuleNotFoundError: there is no such module.
    """
    sources = []
    for module in modules:
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(module)
        origin = Path(spec.origin)
        files = origin.parent.glob("*.py") if spec.submodule_search_locations else [origin]
        sources += [(module, file.name, file.read_text("utf-8")) for file in files]
    return digest_of([part for source in sorted(sources) for part in source])


def digest_of(parts: Iterable[str]) -> str:
    """Return a digest of a list of texts, 32 hex digits."""
    return hashlib.blake2b(json.dumps(list(parts)).encode(), digest_size=16).hexdigest()
