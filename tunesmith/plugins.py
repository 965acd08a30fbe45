"""Plug-ins: a user's own source, network, gate, format, filter or engine, found by its name.

A plug-in's name is that of an entry point in the group ``tunesmith.<kind>`` of an installed
package, or ``module:object``. Modules and packages are looked for where Python finds installed
ones, then in the folders of the plug-in path; the current folder is searched only if it is named
as one of these. Standard library only: every package of tunesmith may import this module.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import re
import sys
import sysconfig
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

KINDS = ("sources", "networks", "gates", "formats", "filters", "engines")
"""Kinds of plug-ins. The entry points of a kind stand in the group ``tunesmith.<kind>``."""

PATH_VARIABLE = "TUNESMITH_PLUGIN_PATH"
"""Environment variable that holds the plug-in path, its folders separated by ``os.pathsep``."""

_REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")

_lock = threading.RLock()
_appended: list[str] = []
"""Entries of ``sys.path`` that :func:`set_plugin_path` put there."""


class PluginError(Exception):
    """A plug-in or a folder of plug-ins cannot be used; the message is one line."""


@dataclass(frozen=True)
class PluginReference:
    """Where a plug-in is defined.

    Args:
        module: the module's full name.
        object: the object in it, dotted where it is nested.
        distribution: the installed distribution whose entry point it is; empty for
            ``module:object``.
        version: that distribution's version.
    """

    module: str
    object: str
    distribution: str = ""
    version: str = ""


def set_plugin_path(paths: Iterable[str | os.PathLike[str]]) -> None:
    """Search these folders for plug-ins, after all installed packages.

    Sets :data:`PATH_VARIABLE`, so that child processes search them, too, and appends them to
    ``sys.path``, so that a plug-in can import the modules beside it. Replaces an earlier path.

    Args:
        paths: folders; relative ones are relative to the current folder.

    Raises:
        PluginError: one is not a folder, or has ``os.pathsep`` in its name.
    """
    folders = list(dict.fromkeys(str(Path(each).absolute()) for each in paths))
    for folder in folders:
        if not Path(folder).is_dir():
            raise PluginError(f"{folder} of the plug-in path is not a folder")
        if os.pathsep in folder:
            raise PluginError(f"{folder} cannot be in the plug-in path: it has a {os.pathsep!r}")
    with _lock:
        _append(folders)
        if folders:
            os.environ[PATH_VARIABLE] = os.pathsep.join(folders)
        else:
            os.environ.pop(PATH_VARIABLE, None)
    importlib.invalidate_caches()


def plugin_path() -> tuple[str, ...]:
    """Return the folders of the plug-in path, absolute, as :data:`PATH_VARIABLE` holds them."""
    entries = os.environ.get(PATH_VARIABLE, "").split(os.pathsep)
    # An empty entry would stand for the current folder.
    return tuple(dict.fromkeys(str(Path(each).absolute()) for each in entries if each))


def plugin_names(kind: str) -> list[str]:
    """Return the names of the plug-ins of a kind that installed packages offer, sorted.

    Args:
        kind: one of :data:`KINDS`.
    """
    return sorted(_entry_points(_group(kind)))


def is_reference(name: str) -> bool:
    """Return whether a plug-in's name has the form ``module:object``."""
    return _REFERENCE.fullmatch(name) is not None


def find_plugin(kind: str, name: str) -> PluginReference:
    """Return where a plug-in is defined, without importing it.

    Args:
        kind: one of :data:`KINDS`.
        name: an entry point's name, or ``module:object``.

    Raises:
        PluginError: there is no such entry point, there are two, or there is no such module.
    """
    group = _group(kind)
    if ":" not in name:
        found = _entry_points(group).get(name, ())
        if not found:
            raise PluginError(_unknown(kind, name))
        if len(found) > 1:
            both = " and ".join(sorted(each.distribution for each in found))
            raise PluginError(
                f"{name} of {group} is in {both}: uninstall one, or give module:object"
            )
        (reference,) = found
    elif is_reference(name):
        reference = PluginReference(*name.split(":"))
    else:
        raise PluginError(f"{name!r} is not module:object, such as my_package.my_module:MyClass")
    with _importing():
        _check_module(reference.module)
    return reference


def find_module(name: str) -> ModuleSpec | None:
    """Return where the top-level module of plug-ins is, without importing it; None for nowhere."""
    with _importing():
        return _find_top_level(name)


def load_plugin(kind: str, name: str) -> object:
    """Import a plug-in's module and return its object.

    Args:
        kind: one of :data:`KINDS`.
        name: an entry point's name, or ``module:object``.

    Raises:
        PluginError: it is not found, its module cannot be imported, or the object is not in it.
    """
    reference = find_plugin(kind, name)
    with _importing():
        try:
            found: object = importlib.import_module(reference.module)
        except (Exception, SystemExit) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise PluginError(f"{reference.module} cannot be imported: {reason}") from error
    for part in reference.object.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise PluginError(
                f"{reference.module} has no {reference.object}{_hidden(reference.module)}"
            ) from None
    return found


def leave_out_current_folder() -> None:
    """Take the current folder out of ``sys.path``, as ``python -P`` does.

    ``python -m`` and an empty entry of PYTHONPATH put it there. For programs of tunesmith alone:
    the modules of a user's own program may well be there.
    """
    with _lock:
        _append(plugin_path())
        sys.path[:] = _search_path()


def _group(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
    return f"tunesmith.{kind}"


def _unknown(kind: str, name: str) -> str:
    known = plugin_names(kind)
    installed = f"installed are {', '.join(known)}" if known else "none is installed"
    return (
        f"no installed package has a plug-in {name!r} in tunesmith.{kind} ({installed}): install "
        "its package, or give module:object, with --plugin-path if it is not installed"
    )


def _entry_points(group: str) -> dict[str, list[PluginReference]]:
    with _importing():
        path = tuple(sys.path)
    # A folder's time changes when a package is installed into it.
    return _read_entry_points(path, tuple(_modified(each) for each in path)).get(group, {})


@functools.lru_cache(8)
def _read_entry_points(
    path: Sequence[str], _times: Sequence[int]
) -> dict[str, dict[str, list[PluginReference]]]:
    """Return the plug-ins of the packages in some folders, by group and name."""
    from importlib.metadata import Distribution

    found: dict[str, dict[str, list[PluginReference]]] = {}
    seen = set()
    for each in Distribution.discover(path=list(path)):
        # A distribution's name takes far longer to read than this.
        if "[tunesmith." not in (each.read_text("entry_points.txt") or ""):
            continue
        name = each.metadata["Name"]
        # The first one is the one that Python imports.
        if name in seen:
            continue
        seen.add(name)
        for point in each.entry_points:
            if point.group.startswith("tunesmith."):
                reference = PluginReference(point.module, point.attr, name, each.version)
                found.setdefault(point.group, {}).setdefault(point.name, []).append(reference)
    return found


def _modified(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns  # noqa: PTH116 - an entry of sys.path
    except OSError:
        return 0


@contextmanager
def _importing() -> Iterator[None]:
    """Let imports find installed packages, then the plug-in path, and not the current folder."""
    with _lock:
        _append(plugin_path())
        kept = list(sys.path)
        restricted = _search_path()
        sys.path[:] = restricted
        try:
            yield
        finally:
            # A plug-in may have changed the path itself.
            changed = [each for each in sys.path if each not in restricted]
            sys.path[:] = [*kept, *changed]


def _search_path() -> list[str]:
    folders = plugin_path()
    installed = [each for each in sys.path if each not in folders and not _is_current(each)]
    return [*installed, *folders]


def _is_current(entry: str) -> bool:
    if not entry:
        return True
    try:
        return Path(entry).samefile(".") and entry not in _installed_folders()
    except OSError:
        return False


@functools.cache
def _installed_folders() -> frozenset[str]:
    """Return the folders of Python itself and of what is installed."""
    import site

    return frozenset({*sysconfig.get_paths().values(), *site.getsitepackages()})


def _append(folders: Sequence[str]) -> None:
    """Have `folders` in ``sys.path``, in the place of those of an earlier plug-in path."""
    for each in [each for each in _appended if each not in folders]:
        _appended.remove(each)
        if each in sys.path:
            sys.path.remove(each)
    for each in folders:
        if each not in sys.path:
            sys.path.append(each)
            _appended.append(each)


def _check_module(name: str) -> None:
    """Check that a module is found, and that it is the one that would be imported.

    Raises:
        PluginError: it is not.
    """
    top = name.partition(".")[0]
    spec = _find_top_level(top)
    if spec is None:
        raise PluginError(f"there is no module {name}: {_advice(top)}")
    loaded = getattr(sys.modules.get(top), "__spec__", None)
    if loaded is not None and loaded.origin != spec.origin:
        raise PluginError(f"{top} was already imported from {loaded.origin}, not {spec.origin}")
    if top == name:
        return
    try:
        found = importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        raise PluginError(f"there is no module {error.name}{_hidden(top)}") from error
    except (Exception, SystemExit) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise PluginError(f"{name} cannot be imported: {reason}") from error
    if found is None:
        raise PluginError(f"there is no module {name}{_hidden(top)}")


def _find_top_level(name: str) -> ModuleSpec | None:
    # Not importlib.util.find_spec: for a module that was imported it would not search.
    for finder in sys.meta_path:
        spec = finder.find_spec(name, None)
        if spec is not None:
            return spec
    return None


def _advice(module: str) -> str:
    here = Path(f"{module}.py").exists() or Path(module).is_dir()
    if here:
        return "the current folder is not searched, add --plugin-path ."
    return "install its package, or name the folder that holds it by --plugin-path"


def _hidden(module: str) -> str:
    """Return why a module of the plug-in path is not the one that was found; empty if it is."""
    top = module.partition(".")[0]
    for folder in plugin_path():
        hidden = next(
            (p for p in (Path(folder, f"{top}.py"), Path(folder, top)) if p.exists()), None
        )
        if hidden is not None:
            with _importing():
                spec = _find_top_level(top)
            origin = spec.origin if spec is not None else None
            if origin is None or not Path(origin).is_relative_to(folder):
                return f"; {hidden} is hidden by a module of Python or an installed one: rename it"
    return ""
