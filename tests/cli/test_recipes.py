"""``--recipe``: values of several parameters under one name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tunesmith.components.trainer.component import TrainerParameters
from tunesmith.pipeline.configuration import ConfigurationError, Setting, with_recipe
from tunesmith.pipeline.configuration_keys import known_keys
from tunesmith.pipeline.dag import PipelineConfig
from tunesmith.pipeline.recipes import RECIPES

Configured = Callable[..., PipelineConfig]
Invoke = Callable[..., Result]


def test_the_papers_recipe_is_the_papers_program(configured: Configured) -> None:
    config = configured("--recipe", "paper")
    trainer = config.parameters["Trainer"]
    assert (trainer.network, trainer.batch, trainer.learning_rate) == ("paper", 64, 0.001)
    assert (trainer.epochs, trainer.epoch_steps, trainer.time_limit) == (50, None, None)
    assert trainer.patience >= trainer.epochs
    assert (trainer.schedule.shape, trainer.schedule.warmup_steps) == ("constant", 0)
    assert trainer.warm_start.share == 0
    assert trainer.clip_norm is None
    assert trainer.regularisation.keys == "none"
    assert trainer.regularisation.noise == trainer.regularisation.weight_decay == 0
    assert trainer.architecture.dropout == 0.3
    assert config.parameters["Transform"].transpose == "none"
    assert trainer.mixture.mix == "network"


def test_the_default_recipe_is_what_is_declared(configured: Configured) -> None:
    assert configured().parameters["Trainer"] == TrainerParameters()
    assert configured("--recipe", "tunesmith").parameters["Trainer"] == TrainerParameters()


def test_what_is_given_comes_before_the_recipe_wherever_it_is_given(
    configured: Configured, invoke: Invoke, tmp_path: Path
) -> None:
    file = tmp_path / "pipeline.toml"
    file.write_text('recipe = "paper"\n[trainer]\nbatch = 32\n')
    trainer = configured("--config", file, "--epochs", 3).parameters["Trainer"]
    assert (trainer.epochs, trainer.batch, trainer.patience) == (3, 32, 50)
    printed = invoke("run", "--recipe", "paper", "--epochs", 3, "--print-config").stdout
    assert "epochs = 3  # option --epochs" in printed
    assert "patience = 50  # recipe paper" in printed


def test_every_value_of_a_recipe_is_one_of_a_parameter() -> None:
    for recipe in RECIPES.values():
        for key, value in recipe.items():
            assert all(field.declared.problem(value) is None for field in known_keys()[key])


def test_a_recipe_that_does_not_exist_is_refused(invoke: Invoke) -> None:
    done = invoke("run", "--midi-dir", "m", "--root", "r", "--recipe", "none")
    assert done.exit_code != 0
    with pytest.raises(ConfigurationError, match="must be one of tunesmith, paper"):
        with_recipe({"recipe": Setting("none", "option --recipe", "--recipe")})
