"""The inputs of a component, from the IDs of executions, artifacts and folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunesmith.components.artifacts import Artifact, SongFiles
from tunesmith.components.errors import ArgumentError, ComponentError
from tunesmith.components.sources.source import AUTO, read_source
from tunesmith.pipeline.dag import input_fields
from tunesmith.pipeline.figures import artifact_type
from tunesmith.pipeline.lineage import NotRecorded, RecordedArtifact, read_lineage


class UnfitInput(ComponentError):
    """An input is missing, or of the wrong type."""


def take_inputs(kind: type[Any], given: Sequence[str], root: Path, source: str = AUTO) -> Any:
    """Return the component's inputs.

    Args:
        kind: the dataclass of the inputs.
        given: each the ID of an execution of `root`, or the path of an artifact of any root. The
            field follows from its type, or from a name: ``model=3``. A folder that is in no
            metadata store needs the name, unless it holds songs.
        root: of the pipeline.
        source: the source that reads the user's songs.

    Raises:
        UnfitInput: an input has the wrong type, or is missing.
        NoSongs: a folder of MIDI files is empty.
    """
    wanted = {each.name: each for each in input_fields(kind)}
    taken: dict[str, list[Artifact]] = {}
    for text in given:
        name, equals, where = text.partition("=")
        if not equals or name not in wanted:
            name, where = "", text
        free = {
            field.name: field.type
            for field in wanted.values()
            if field.several or field.name not in taken
        }
        if name and name not in free:
            raise UnfitInput(f"input {name} is given twice: give it once")
        found, artifact = _take(
            {name: free[name]} if name else free, where, root, bool(name), source
        )
        taken.setdefault(found, []).append(artifact)
    for field in wanted.values():
        if field.needed and field.name not in taken:
            raise UnfitInput(
                f"input {field.name} is missing: give an artifact of type {field.type.__name__}, "
                "by the ID of an execution (listed by tunesmith runs) or by its folder"
            )
    return kind(
        **{
            name: tuple(artifacts) if wanted[name].several else artifacts[0]
            for name, artifacts in taken.items()
        }
    )


def _take(
    free: dict[str, type[Artifact]], where: str, root: Path, is_named: bool, source: str
) -> tuple[str, Artifact]:
    """Return the field that the artifact at `where` belongs to, and the artifact."""
    path = Path(where)
    try:
        # An ID is that of an execution of this root; the root of a path is found from the path.
        recorded = read_lineage(where, root if where.isdecimal() else None).artifact
    except NotRecorded:
        recorded = None
    for name, kind in free.items():
        if issubclass(kind, SongFiles):
            # They may have changed since they were recorded.
            if path.exists() and (recorded is None or artifact_type(recorded.type, SongFiles)):
                return name, _source(path, source)
        elif recorded is not None and (fitting := artifact_type(recorded.type, kind)):
            return name, _known(fitting, recorded)
        elif recorded is None and is_named and path.is_dir():
            return name, _unrecorded(kind, path)
    takes = ", ".join(f"{name} ({kind.__name__})" for name, kind in free.items()) or "none"
    found = f"is of type {recorded.type}" if recorded else "is not a recorded artifact"
    raise UnfitInput(f"input {where} {found}; inputs that can be given: {takes}")


def _source(path: Path, source: str) -> Artifact:
    try:
        return read_source(path, source)
    except ArgumentError as error:
        raise ArgumentError("input", error.problem) from error


def _known(kind: type[Artifact], recorded: RecordedArtifact) -> Artifact:
    path = Path(recorded.path)
    if not path.is_dir():
        raise UnfitInput(f"{path} does not exist any more: execute its component again")
    # A folder of the user may have changed since it was recorded.
    if recorded.execution is None:
        return _unrecorded(kind, path)
    return kind(path, recorded.digest)


def _unrecorded(kind: type[Artifact], path: Path) -> Artifact:
    try:
        return kind(path, kind(path, "").content_digest())
    except (OSError, ValueError, KeyError) as error:
        raise UnfitInput(f"{path} is not the folder of a {kind.__name__}: {error}") from error


def describe_inputs(kind: type[Any]) -> list[str]:
    """Return a line for each input: its name, its type, and whether it is optional."""
    return [
        f"{each.name}: {each.type.__name__}"
        f"{'' if each.needed else ', optional'}{', repeatable' if each.several else ''}"
        for each in input_fields(kind)
    ]
