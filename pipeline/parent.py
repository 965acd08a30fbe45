"""The model that a run tunes: an artifact that another run, of this root or another, has left."""

from __future__ import annotations

from pathlib import Path

from tunesmith.components.artifacts import PushedModel, TrainedModel
from tunesmith.components.errors import ComponentError
from tunesmith.components.pusher.versions import versions_of


class NoModel(ComponentError):
    """A folder holds no model."""


def find_version(folder: Path) -> Path:
    """Return the folder of the SavedModel that `folder` names.

    Args:
        folder: a version, the base path of a model (its newest version), or the Trainer's artifact.

    Raises:
        NoModel: there is none.
    """
    newest = versions_of(folder)[-1:] if folder.is_dir() else []
    for each in (folder, folder / "saved_model", *(folder / str(number) for number in newest)):
        if (each / "saved_model.pb").is_file():
            return each
    raise NoModel(f"{folder} holds no model: name a version, such as ROOT/models/tunesmith/1")


def import_model(folder: Path) -> PushedModel:
    """Return the model that `folder` names (see :func:`find_version`) as an input of a run.

    Its digest is that of what the Trainer left, by which a root knows its lineage.

    Raises:
        NoModel: there is none.
    """
    version = find_version(folder)
    trained = TrainedModel(version.parent, "")
    if version == trained.saved_model:
        return PushedModel(version, trained.content_digest())
    return PushedModel(version, PushedModel(version, "").content_digest())
