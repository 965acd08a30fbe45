"""Loads a parent, and says whether it can be one."""

from __future__ import annotations

from pathlib import Path

from tunesmith.components.errors import ComponentError
from tunesmith.components.saved_predictor import SavedPredictor


class UnfitParent(ComponentError):
    """A model that another one cannot be tuned from."""


def load_parent(directory: Path) -> SavedPredictor:
    """Return the model in a folder: its tokens, how its corpus was read, and what it predicts.

    Raises:
        ComponentError: it is no model of tunesmith's.
        UnfitParent: its frames have several parts, whose tokens cannot be added to.
    """
    predictor = SavedPredictor.load(directory)
    parts = len(predictor.vocabulary.rests)
    if parts > 1:
        raise UnfitParent(f"{directory} cannot be tuned: its frames have {parts} parts")
    return predictor
