"""The inputs of a component out of what a person names: executions, artifacts, folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunesmith.components.artifacts import Artifact, MidiFolder
from tunesmith.components.errors import ComponentError
from tunesmith.components.sources.midi_folder import read_midi_folder
from tunesmith.pipeline.dag import input_fields
from tunesmith.pipeline.figures import artifact_type
from tunesmith.pipeline.lineage import NotRecorded, RecordedArtifact, read_lineage


class UnfitInput(ComponentError):
    """An input is missing, or of another type than the component takes."""


def take_inputs(kind: type[Any], given: Sequence[str], root: Path) -> Any:
    """Return the component's inputs.

    Args:
        kind: the dataclass of the inputs.
        given: each the id of an execution of `root`, or the path of an artifact of any root. Its
            type tells which field it is for, or a name does: ``model=3``. A folder that no
            store knows needs the name; one of MIDI files never does.
        root: the pipeline's.

    Raises:
        UnfitInput: one does not fit, or is missing.
        NoSongs: a folder of MIDI files holds none.
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
            raise UnfitInput(f"{name} is given twice")
        found, artifact = _take({name: free[name]} if name else free, where, root, bool(name))
        taken.setdefault(found, []).append(artifact)
    for field in wanted.values():
        if field.needed and field.name not in taken:
            raise UnfitInput(
                f"{field.name} is missing: give --input the {field.type.__name__} to work on, as "
                "the number of an execution (tunesmith runs lists them) or a path"
            )
    return kind(
        **{
            name: tuple(artifacts) if wanted[name].several else artifacts[0]
            for name, artifacts in taken.items()
        }
    )


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
                return name, read_midi_folder(path)
        elif recorded is not None and (fitting := artifact_type(recorded.type, kind)):
            return name, _known(fitting, recorded)
        elif recorded is None and is_named and path.is_dir():
            return name, _unrecorded(kind, path)
    takes = ", ".join(f"{name} ({kind.__name__})" for name, kind in free.items()) or "no more"
    found = f"is a {recorded.type}" if recorded else "is no recorded artifact"
    raise UnfitInput(f"--input {where} {found}; it takes {takes}")


def _known(kind: type[Artifact], recorded: RecordedArtifact) -> Artifact:
    path = Path(recorded.path)
    if not path.is_dir():
        raise UnfitInput(f"{path} is no longer there: run again what made it")
    # The user's own may have changed since it was recorded.
    if recorded.execution is None:
        return _unrecorded(kind, path)
    return kind(path, recorded.digest)


def _unrecorded(kind: type[Artifact], path: Path) -> Artifact:
    try:
        return kind(path, kind(path, "").content_digest())
    except (OSError, ValueError, KeyError) as error:
        raise UnfitInput(f"{path} is not the folder of a {kind.__name__}: {error}") from error


def describe_inputs(kind: type[Any]) -> list[str]:
    """Return a line for each input: its name, its type, and whether it may be left out."""
    return [
        f"{each.name}: {each.type.__name__}"
        f"{'' if each.needed else ', may be left out'}{', may be repeated' if each.several else ''}"
        for each in input_fields(kind)
    ]
