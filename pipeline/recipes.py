"""Recipes: named sets of default values, which any other setting overrides."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

RECIPES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        # The defaults of the declarations.
        "tunesmith": {},
        # The paper's program: Nadam at a constant rate, 50 epochs, each validated on held-out
        # windows; dropout as the only regularisation, no transposition, no mixture with n-grams.
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
        # Fine-tuning of a trained model on few songs: a low learning rate and a short time.
        "tune": {
            # Few songs need not contain most tokens of the parent. Of three songs one is held out,
            # and the longer of the other two has more than half of the frames.
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
