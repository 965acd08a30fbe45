"""The parent of a tuning run: a model that an earlier run has published, in any root."""

from __future__ import annotations

from pathlib import Path

from tunesmith.components.artifacts import PushedModel, TrainedModel
from tunesmith.components.errors import ArgumentError
from tunesmith.components.pusher.versions import versions_of


class NoModel(ArgumentError):
    """A folder has no model."""


def find_version(folder: Path) -> Path:
    """Return the folder of the SavedModel in `folder`.

    Args:
        folder: a version, the base path of a model (its newest version), or the Trainer's artifact.

    Raises:
        NoModel: there is no SavedModel.
    """
    newest = versions_of(folder)[-1:] if folder.is_dir() else []
    for each in (folder, folder / "saved_model", *(folder / str(number) for number in newest)):
        if (each / "saved_model.pb").is_file():
            return each
    raise NoModel(
        "parent", f"{folder} is not a model: give a version, such as ROOT/models/tunesmith/1"
    )


def import_model(folder: Path) -> PushedModel:
    """Return the model in `folder` (see :func:`find_version`) as an input of a run.

    Its digest is that of the Trainer's artifact, which identifies it in the lineage of a root.

    Raises:
        NoModel: there is no SavedModel.
    """
    version = find_version(folder)
    trained = TrainedModel(version.parent, "")
    if version == trained.saved_model:
        return PushedModel(version, trained.content_digest())
    return PushedModel(version, PushedModel(version, "").content_digest())
