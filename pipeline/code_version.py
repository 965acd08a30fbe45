"""The code version of a component: a digest of all the code that its executor can import.

It follows from the source files alone. None of them is imported, so that neither numpy, TensorFlow
nor Beam is loaded for it. :mod:`tunesmith.pipeline.source_code` defines which parts of a module
count as code.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tunesmith.pipeline.source_code import SourceCode, parse_source
from tunesmith.plugins import find_module

LIBRARIES = ("tensorflow", "keras", "apache-beam", "numpy")
"""Distributions whose version can change a result."""

_NOT_DATA = (".py", ".pyc", ".pyi", ".typed", "~")
"""Suffixes of files in a package that are not data: modules, type stubs, an editor's copies."""

_TOP = "tunesmith"
"""A module that counts as nobody's code: what it offers, it imports when a program asks for it."""

_CACHED = 4096
"""Maximum number of files whose digests a process caches; there are about two hundred."""


@dataclass(frozen=True)
class CodeVersion:
    """The code of a component.

    Args:
        digest: over all of `modules`, 32 hex digits.
        modules: the digest of each module by its name, 32 hex digits, and of each data file of a
            package by the package's name and the path below it, such as
            ``tunesmith.pipeline/templates/report.html``. Sorted by name.
    """

    digest: str
    modules: Mapping[str, str]


def code_version(
    roots: Iterable[str], package: str = "tunesmith", path: Sequence[Path] | None = None
) -> CodeVersion:
    """Return the version of the code that importing `roots` can reach.

    Imports are followed into `package`, and from a module of another package, such as a user's
    network, into its own top-level package. Importing a module executes the packages above it; the
    data files of each of these packages (templates, protos, configurations) count by their bytes.
    Modules that a module declares in ``ALSO_RUNS`` are reached, too.

    Args:
        roots: names of modules. A package stands for its ``__init__`` and ``__main__``, not for
            all modules in it.
        package: the top-level package into which imports are always followed.
        path: the folders that hold the top-level packages; None for where Python finds them.

    Raises:
        ModuleNotFoundError: there is no source of a root, or of a module in ``ALSO_RUNS``.
        SyntaxError: a module cannot be parsed.
        ValueError: an ``ALSO_RUNS`` is no tuple of literal strings.
    """
    roots = tuple(roots)
    found = _Closure(package, path).digests(roots)
    if path is None:
        found |= distribution_versions(roots)
    modules = dict(sorted(found.items()))
    return CodeVersion(_digest(json.dumps(list(modules.items())).encode()), modules)


def changed(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Return the modules and data files that were added, removed or changed, sorted.

    Args:
        old: :attr:`CodeVersion.modules` of one version.
        new: those of another.
    """
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))


def distribution_versions(roots: Iterable[str]) -> dict[str, str]:
    """Return the version of each installed distribution that has a plug-in among some modules.

    Args:
        roots: names of modules; those of tunesmith itself do not count.

    Returns:
        Versions by ``distribution <name>``, for :attr:`CodeVersion.modules`.
    """
    top = {_top_level(name) for name in roots} - {_TOP}
    if not top:
        return {}
    from importlib.metadata import packages_distributions

    installed = packages_distributions()
    names = {name for module in top for name in installed.get(module, ())}
    return {f"distribution {name}": version(name) for name in sorted(names)}


def library_versions() -> dict[str, str]:
    """Return the version of each of :data:`LIBRARIES` that is installed; none is imported."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


class _Closure:
    """Follows imports from module to module."""

    def __init__(self, package: str, path: Sequence[Path] | None) -> None:
        self._package = package
        self._files = _SourceFiles(path)

    def digests(self, roots: Iterable[str]) -> dict[str, str]:
        waiting = [name for root in roots for name in self._executed(root)]
        seen = {"", _TOP}
        found = {}
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            module = self._files.find(name)
            if module is None:
                continue  # An attribute of a module, or an optional module.
            above = name.rpartition(".")[0]
            waiting.append(above)
            if module.file is None:
                continue  # A namespace package executes nothing.
            source = _parsed(module.file, name if module.folders else above)
            found[name] = source.digest
            waiting += self._followed(name, source)
            if module.folders:
                found |= _data_digests(name, module.folders[0])
        return found

    def _executed(self, name: str, declared_in: str = "") -> list[str]:
        module = self._files.find(name)
        if module is None or module.file is None:
            declared = f", which ALSO_RUNS of {declared_in} names" if declared_in else ""
            raise ModuleNotFoundError(f"there is no source of {name}{declared}", name=name)
        return [name, f"{name}.__main__"] if module.folders else [name]

    def _followed(self, name: str, source: SourceCode) -> Iterator[str]:
        packages = (self._package, _top_level(name))
        yield from (each for each in source.imports if _top_level(each) in packages)
        for each in source.also_runs:
            yield from self._executed(each, name)


@dataclass(frozen=True)
class _Module:
    """The files of a module.

    Args:
        file: its source; None for a namespace package.
        folders: the folders of its submodules; empty unless it is a package.
    """

    file: Path | None
    folders: tuple[Path, ...] = ()


class _SourceFiles:
    """Finds the source of modules as Python does, but without executing the packages above them."""

    def __init__(self, path: Sequence[Path] | None) -> None:
        self._path = path
        self._found: dict[str, _Module | None] = {}
        self._listed: dict[Path, frozenset[str]] = {}

    def find(self, name: str) -> _Module | None:
        if name not in self._found:
            self._found[name] = self._find(name)
        return self._found[name]

    def _find(self, name: str) -> _Module | None:
        above, _, last = name.rpartition(".")
        if not above:
            return (
                _find_by_import_system(name) if self._path is None else self._in(self._path, last)
            )
        package = self.find(above)
        if package is None or not package.folders:
            return None
        # The parts of a namespace package may lie anywhere: an editable install maps them.
        if package.file is None and self._path is None:
            return _find_by_import_system(name)
        return self._in(package.folders, last)

    def _in(self, folders: Sequence[Path], name: str) -> _Module | None:
        portions = []
        for folder in folders:
            inside = folder / name
            names = self._names(folder)
            if name in names and "__init__.py" in self._names(inside):
                return _Module(inside / "__init__.py", (inside,))
            if f"{name}.py" in names:
                return _Module(folder / f"{name}.py")
            if name in names and inside.is_dir():
                portions.append(inside)
        return _Module(None, tuple(portions)) if portions else None

    def _names(self, folder: Path) -> frozenset[str]:
        # Listing a folder is quicker than a test per name, which would also find the module `song`
        # for the class `Song` on a file system that ignores case.
        if folder not in self._listed:
            try:
                self._listed[folder] = frozenset(each.name for each in folder.iterdir())
            except (FileNotFoundError, NotADirectoryError):
                self._listed[folder] = frozenset()
        return self._listed[folder]


def _find_by_import_system(name: str) -> _Module | None:
    """Find a top-level module or one in a namespace package, which executes nothing."""
    try:
        # A plug-in may be on the plug-in path, and is never in the current folder.
        is_own = "." in name or name == _TOP
        spec = importlib.util.find_spec(name) if is_own else find_module(name)
    except ValueError:  # The module was not loaded by an import.
        return None
    if spec is None:
        return None
    folders = tuple(Path(each) for each in spec.submodule_search_locations or ())
    if spec.has_location and spec.origin is not None and spec.origin.endswith(".py"):
        return _Module(Path(spec.origin), folders)
    return _Module(None, folders) if folders else None


def _top_level(name: str) -> str:
    return name.partition(".")[0]


def _data_digests(package: str, folder: Path) -> dict[str, str]:
    """Return the digest of each data file of a package, which `folder` holds, by its name."""
    found = {}
    for inside, folders, names in os.walk(folder):
        if inside != str(folder) and any(name.endswith(".py") for name in names):
            folders.clear()  # A package of its own.
            continue
        folders[:] = [each for each in folders if not each.startswith((".", "__pycache__"))]
        for name in names:
            if not name.startswith(".") and not name.endswith(_NOT_DATA):
                file = Path(inside, name)
                relative = file.relative_to(folder).as_posix()
                found[f"{package}/{relative}"] = _file_digest(file)
    return found


def _parsed(file: Path, package: str) -> SourceCode:
    status = file.stat()
    return _parse_once(file, status.st_mtime_ns, status.st_size, package)


# Components share most of their modules: a process parses each file once, until it changes.
@functools.lru_cache(_CACHED)
def _parse_once(file: Path, _modified: int, _size: int, package: str) -> SourceCode:
    return parse_source(file.read_bytes(), package, str(file))


def _file_digest(file: Path) -> str:
    status = file.stat()
    return _digest_once(file, status.st_mtime_ns, status.st_size)


@functools.lru_cache(_CACHED)
def _digest_once(file: Path, _modified: int, _size: int) -> str:
    return _digest(file.read_bytes())


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
