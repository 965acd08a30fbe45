"""Pusher: publishes a trained model under the next version number, whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

from tunesmith.components.artifacts import TrainedModel


def next_version(model_dir: Path) -> int:
    """Return the version to publish in `model_dir`: one above the highest there, or 1.

    Only folders named by a number count, as for TensorFlow Serving.
    """
    if not model_dir.is_dir():
        return 1
    numbers = [int(path.name) for path in model_dir.iterdir() if path.name.isdecimal()]
    return max(numbers, default=0) + 1


def push(model: TrainedModel, output: Path) -> None:
    """Copy the SavedModel of `model` into the folder `output`.

    Whoever calls makes `output` visible under its version number only when it is complete (see
    :func:`tunesmith.components.publishing.staged_directory`): a server polls the folder.
    """
    shutil.copytree(model.saved_model, output, dirs_exist_ok=True)
