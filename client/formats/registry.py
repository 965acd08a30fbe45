"""Finds the format of a file by its suffix: a built-in one, or a plug-in.

Plug-ins are those of :mod:`tunesmith.plugins`, of the kind ``formats``. They are loaded where no
built-in format has the suffix, or where one is named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

from tunesmith.client.errors import BadOption, UnknownFormat
from tunesmith.client.formats import html, json, midi, musicxml, png, wav
from tunesmith.client.formats.format import Format
from tunesmith.plugins import PluginError, load_plugin, plugin_names

BUILT_IN: tuple[Format, ...] = (
    midi.FORMAT,
    png.FORMAT,
    wav.FORMAT,
    html.FORMAT,
    json.FORMAT,
    musicxml.FORMAT,
)

_SUFFIX = re.compile(r"\.[a-z0-9]+")


def format_of(path: str | Path, own: Sequence[Format] = ()) -> Format:
    """Return the format that a file is written in, by its suffix in upper or lower case.

    Formats of one's own come first, then the built-in ones, then the installed plug-ins.

    Args:
        path: the file.
        own: formats to find, too.

    Raises:
        UnknownFormat: no format has the suffix, or two installed plug-ins have it.
        BadOption: an installed plug-in cannot be loaded.
    """
    suffix = Path(path).suffix.lower()
    for each in (*own, *BUILT_IN):
        if suffix in each.suffixes:
            return each
    installed = {name: load_format(name) for name in plugin_names("formats")}
    found = [name for name, each in installed.items() if suffix in each.suffixes]
    if len(found) > 1:
        raise UnknownFormat(
            f"{path}: the plug-ins {' and '.join(found)} both write {suffix}: name one"
        )
    if not found:
        ending = f"the suffix {suffix} is unknown" if suffix else "it has no suffix"
        known = suffixes_of((*own, *BUILT_IN, *installed.values()))
        raise UnknownFormat(f"{path}: {ending}: choose {known}")
    return installed[found[0]]


def suffixes_of(formats: Iterable[Format]) -> str:
    """Return the suffixes of formats as a list in words: ``.mid, .midi or .png``."""
    suffixes = list(dict.fromkeys(suffix for each in formats for suffix in each.suffixes))
    return " or ".join(filter(None, (", ".join(suffixes[:-1]), suffixes[-1])))


def load_format(name: str) -> Format:
    """Return the format that a plug-in defines: an object, or a class that takes no arguments.

    Args:
        name: of an entry point of the group ``tunesmith.formats``, or ``module:object``.

    Raises:
        BadOption: it cannot be loaded, or is not a format.
    """
    try:
        found = load_plugin("formats", name)
        if isinstance(found, type):
            found = found()
    except PluginError as error:
        raise BadOption(str(error)) from error
    except TypeError as error:
        raise BadOption(f"the format {name} cannot be made without arguments: {error}") from error
    missing = [
        member for member in ("name", "suffixes", "library", "write") if not hasattr(found, member)
    ]
    if missing:
        raise BadOption(f"{name} is not a format: it has no {' and no '.join(missing)}")
    made = cast("Format", found)
    suffixes = made.suffixes
    if isinstance(suffixes, str) or not all(map(_SUFFIX.fullmatch, suffixes)) or not suffixes:
        raise BadOption(
            f"the suffixes of the format {name} must be like ('.abc',), in lower case, "
            f"not {suffixes!r}"
        )
    return made
