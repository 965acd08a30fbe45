"""The figures of artifacts, by which runs are compared: read from the artifacts themselves.

Which figures an artifact has is said by its type (:meth:`Artifact.figures`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tunesmith.components.artifacts import Artifact


class FigureReader:
    """Reads the figures of a root's artifacts, each artifact once.

    Args:
        root: the pipeline's.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._read: dict[tuple[str, str], Mapping[str, float]] = {}

    def of(self, kind: str | None, path: str | None) -> Mapping[str, float]:
        """Return the figures of an artifact; none of one that is gone or is written otherwise.

        Args:
            kind: the name of its type; None for no artifact.
            path: its folder, relative to the root; None for no artifact.
        """
        if kind is None or path is None:
            return {}
        if (kind, path) not in self._read:
            self._read[kind, path] = _figures(kind, self._root / path)
        return self._read[kind, path]


def _figures(kind: str, folder: Path) -> Mapping[str, float]:
    found = artifact_type(kind)
    if found is None:
        return {}
    try:
        return found(folder, "").figures()
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def artifact_type(name: str, kind: type[Artifact] = Artifact) -> type[Artifact] | None:
    """Return the type `name` if it is `kind` or one below it."""
    if kind.__name__ == name:
        return kind
    found = (artifact_type(name, each) for each in kind.__subclasses__())
    return next((each for each in found if each is not None), None)
