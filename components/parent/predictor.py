"""Loads a parent model, and checks that it can be fine-tuned."""

from __future__ import annotations

from pathlib import Path

from tunesmith.components.errors import ComponentError
from tunesmith.components.saved_predictor import SavedPredictor


class UnfitParent(ComponentError):
    """A model cannot be fine-tuned."""


def load_parent(directory: Path) -> SavedPredictor:
    """Return the model in a folder: its vocabulary, corpus settings and predictions.

    Raises:
        ComponentError: the folder is not a tunesmith model.
        UnfitParent: its frames have several parts, whose vocabulary cannot be extended.
    """
    predictor = SavedPredictor.load(directory)
    parts = len(predictor.vocabulary.rests)
    if parts > 1:
        raise UnfitParent(f"{directory} cannot be fine-tuned: its frames have {parts} parts")
    return predictor
