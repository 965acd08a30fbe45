"""Recipes: values of several parameters under one name, which whatever else is set comes before."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

RECIPES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        # What each parameter declares as its default.
        "tunesmith": {},
        # The paper's program: Nadam at a constant rate, 50 passes, each judged by held-out windows;
        # nothing but dropout against overfitting, every song in its own key, and the network alone.
        "paper": {
            "transform.transpose": "none",
            "trainer.network": "paper",
            "trainer.epochs": 50,
            "trainer.epoch_steps": None,
            "trainer.batch": 64,
            "trainer.learning_rate": 0.001,
            "trainer.schedule.shape": "constant",
            "trainer.schedule.warmup_steps": 0,
            "trainer.warm_start.share": 0.0,
            "trainer.regularisation.keys": "none",
            "trainer.regularisation.noise": 0.0,
            "trainer.regularisation.weight_decay": 0.0,
            "trainer.clip_norm": None,
            "trainer.patience": 50,
            "trainer.maximum_seconds": None,
            "trainer.mixture.mix": "network",
            "trainer.settings.sampling_seconds": 0.0,
        },
        # A model that knows music already, and few songs: small steps, and not many.
        "tune": {
            # Most tokens are the parent's, which few songs need not have; of three songs one is
            # held out, and of the other two one is longer.
            "example_validator.minimum_windows_a_token": 0.0,
            "example_validator.maximum_song_share": 1.0,
            "example_validator.maximum_mapped_share": 0.6,
            "trainer.learning_rate": 0.0003,
            "trainer.warm_start.share": 0.0,
            "trainer.maximum_seconds": 240.0,
        },
    }
)


def recipe_names() -> tuple[str, ...]:
    """Return the names of all recipes; the first is the default."""
    return tuple(RECIPES)
