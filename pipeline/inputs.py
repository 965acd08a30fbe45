"""The inputs of a component out of what a person names: executions, artifacts, folders."""

from __future__ import annotations

import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunesmith.components.artifacts import Artifact, MidiFolder
from tunesmith.components.errors import ComponentError
from tunesmith.components.sources.midi_folder import list_midi_files
from tunesmith.pipeline.lineage import NotRecorded, RecordedArtifact, read_lineage
from tunesmith.pipeline.sources import content_digest, midi_folder


class UnfitInput(ComponentError):
    """An input is missing, or of another type than the component takes."""


def input_types(kind: type[Any]) -> dict[str, tuple[type[Artifact], bool]]:
    """Return the artifact type of each field of a component's inputs, and whether it must be."""
    found: dict[str, tuple[type[Artifact], bool]] = {}
    for name, hint in typing.get_type_hints(kind).items():
        kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        (artifact,) = (each for each in kinds if each is not type(None))
        found[name] = (artifact, len(kinds) == 1)
    return found


def take_inputs(kind: type[Any], given: Sequence[str], root: Path) -> Any:
    """Return the component's inputs.

    Args:
        kind: the dataclass of the inputs, whose fields are artifacts, or artifacts or None.
        given: each the id of an execution of `root`, or the path of an artifact of any root. Which
            field it is for its type tells, or a name: ``model=3``. A folder that no record knows
            needs the name; one of MIDI files never does.
        root: the pipeline's.

    Raises:
        UnfitInput: one does not fit, or is missing.
        NoSongs: a folder of MIDI files holds none.
    """
    wanted = input_types(kind)
    taken: dict[str, Artifact] = {}
    for text in given:
        name, equals, where = text.partition("=")
        if not equals or name not in wanted:
            name, where = "", text
        free = {each: wanted[each][0] for each in wanted if each not in taken}
        if name and name not in free:
            raise UnfitInput(f"{name} is given twice")
        found, artifact = _take({name: free[name]} if name else free, where, root, bool(name))
        taken[found] = artifact
    for name, (artifact_type, needed) in wanted.items():
        if needed and name not in taken:
            raise UnfitInput(
                f"{name} is missing: give --input the {artifact_type.__name__} to work on, as the "
                "number of an execution (tunesmith runs lists them) or a path"
            )
    return kind(**{**dict.fromkeys(wanted), **taken})


def _take(
    free: dict[str, type[Artifact]], where: str, root: Path, is_named: bool
) -> tuple[str, Artifact]:
    """Return the field that `where` is for, and its artifact."""
    path = Path(where)
    try:
        # A number means an execution of this root, a path tells its root itself.
        recorded = read_lineage(where, root if where.isdecimal() else None).artifact
    except NotRecorded:
        recorded = None
    for name, kind in free.items():
        if issubclass(kind, MidiFolder):
            # Its files may have changed since they were recorded.
            if path.is_dir() and (recorded is None or recorded.type == "MidiFolder"):
                return name, midi_folder(path, list_midi_files(path))
        elif recorded is not None and recorded.type == kind.__name__:
            return name, _known(kind, recorded)
        elif recorded is None and is_named and path.is_dir():
            return name, kind(path, content_digest(path))
    takes = ", ".join(f"{name} ({kind.__name__})" for name, kind in free.items()) or "no more"
    found = f"is a {recorded.type}" if recorded else "is no recorded artifact"
    raise UnfitInput(f"--input {where} {found}; it takes {takes}")


def _known(kind: type[Artifact], recorded: RecordedArtifact) -> Artifact:
    path = Path(recorded.path)
    if not path.is_dir():
        raise UnfitInput(f"{path} is no longer there: run again what made it")
    # The user's own may have changed since it was recorded.
    digest = recorded.digest if recorded.execution is not None else content_digest(path)
    return kind(path, digest)


def describe_inputs(kind: type[Any]) -> list[str]:
    """Return a line for each input: its name, its type, and whether it may be left out."""
    return [
        f"{name}: {artifact.__name__}{'' if needed else ', may be left out'}"
        for name, (artifact, needed) in input_types(kind).items()
    ]
