"""The figures of artifacts, for the comparison of runs: read from the artifacts themselves.

The type of an artifact defines its figures (:meth:`Artifact.figures`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tunesmith.components.artifacts import Artifact


class FigureReader:
    """Reads the figures of a root's artifacts, each artifact once.

    Args:
        root: of the pipeline.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._read: dict[tuple[str, str], Mapping[str, float]] = {}

    def of(self, kind: str | None, path: str | None) -> Mapping[str, float]:
        """Return the figures of an artifact; none if it is missing or has another format.

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
    """Return the artifact type called `name` if it is `kind` or a subclass of it."""
    if kind.__name__ == name:
        return kind
    found = (artifact_type(name, each) for each in kind.__subclasses__())
    return next((each for each in found if each is not None), None)
