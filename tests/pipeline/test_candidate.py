"""The model of a run: its folder, whether it was refused, and the advice on it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from toy_components import Learning, OfSong

from tunesmith.cli.argument_names import with_option_names
from tunesmith.cli.derived_options import component_options
from tunesmith.components.artifacts import Artifact, ModelEvaluation, TrainedModel
from tunesmith.components.component import Component, ParameterSet, parameter
from tunesmith.components.errors import GateClosed
from tunesmith.components.progress import SilentProgress
from tunesmith.pipeline.candidate import find_advice, read_candidate
from tunesmith.pipeline.runner import Runner

PAPER = {"units": 128, "dropout": 0.3, "embedding": 100}


def history(
    losses: list[tuple[float, float]],
    windows: int = 100_000,
    ended_by: str = "epochs",
    **parameters: Any,
) -> dict[str, Any]:
    """Return a history of epochs of 20 s with these losses, on training and validation songs."""
    epochs = [
        {"epoch": number, "train_loss": train, "cut_loss": held_out, "seconds": 20.0}
        for number, (train, held_out) in enumerate(losses, 1)
    ]
    best = min(epochs, key=lambda each: each["cut_loss"])
    return {
        "epochs": epochs,
        "best_epoch": best["epoch"],
        "windows": {"train": windows, "eval": 100},
        "vocabulary_size": 200,
        "ended_by": ended_by,
        "parameters": {"epochs": 50, "architecture": PAPER, "learning_rate": 0.001} | parameters,
    }


WORSE = [(4.5, 4.2), (4.0, 3.9), (3.6, 3.8), (3.0, 3.9), (2.4, 4.2)]
BETTER = [(4.5, 4.2), (4.0, 3.9), (3.9, 3.8)]


def test_where_every_later_epoch_was_worse_no_more_training_is_advised() -> None:
    found = find_advice(history(WORSE, maximum_seconds=100.0))
    assert found == (
        "the model overfitted: the validation loss was lowest after epoch 3 of 5 (3.80 nats, 4.20 "
        "in the last), while the training loss fell to 2.40; try trainer.regularisation.keys all, "
        "trainer.architecture.dropout 0.5, trainer.architecture.units 64 or more songs"
    )
    assert "trainer.maximum_seconds" not in found
    assert "trainer.epochs" not in found


def test_what_was_done_already_is_not_advised_again() -> None:
    small = {"units": 32, "dropout": 0.6}
    found = find_advice(history(WORSE, architecture=small), is_transposed=True)
    assert found.endswith("; try more songs")


def test_a_training_that_the_clock_ended_needs_more_of_it() -> None:
    found = find_advice(history(BETTER, ended_by="time", maximum_seconds=61.0))
    assert found == (
        "the time limit ended training while the model was still improving (validation loss 3.90 "
        "nats after half of the epochs, 3.80 at best); try trainer.maximum_seconds 180"
    )


def test_a_training_whose_second_half_was_worth_nothing_needs_no_more_time() -> None:
    level = [(4.5, 4.2), (4.0, 3.9), (3.9, 3.89), (3.8, 3.9)]
    found = find_advice(history(level, ended_by="time", maximum_seconds=61.0))
    assert found == (
        "more time would hardly help (validation loss 3.90 nats after half of the epochs, 3.89 at "
        "best); give more songs"
    )


def test_a_training_that_the_epochs_ended_needs_more_of_them() -> None:
    found = find_advice(history(BETTER, epochs=3, maximum_seconds=600.0))
    assert found.startswith("the epochs ended while the model was still improving")
    assert found.endswith("try trainer.epochs 9")


def test_few_windows_for_the_vocabulary_are_told() -> None:
    found = find_advice(history(BETTER, windows=8_000, epochs=3))
    assert found.endswith("or more songs: 40 training windows per token are few")


def test_a_loss_that_stopped_falling_everywhere_asks_for_a_smaller_rate() -> None:
    found = find_advice(history([(4.5, 4.2), (4.4, 4.3), (4.6, 4.4)]))
    assert found.startswith(
        "the validation loss stopped improving after epoch 1 of 3; try trainer.learning_rate 0.0003"
    )


def test_the_options_that_are_advised_exist() -> None:
    known = {option for each in ("Transform", "Trainer") for option in options_of(each)}
    cases = (WORSE, BETTER, [(4.5, 4.2), (4.4, 4.3), (4.6, 4.4)])
    limits: tuple[dict[str, Any], ...] = (
        {},
        {"epochs": 3},
        {"maximum_seconds": 61.0, "ended_by": "time"},
    )
    found = [find_advice(history(case, **limit)) for case in cases for limit in limits]
    lines = [with_option_names(each) for each in found]
    advised = set(re.findall(r"--[a-z-]+", " ".join(lines)))
    assert len(advised) == 6
    assert advised <= known


def options_of(component: str) -> list[str]:
    """Return the options of a component's parameters on the command line."""
    return [option for each in component_options(component) for option in each.opts]


# In a root


@dataclass(frozen=True)
class Judged:
    model: TrainedModel


@dataclass(frozen=True)
class Most(ParameterSet):
    most: float = parameter(9.0, "Loss at most.")


LEARN: Component[Any, Any, TrainedModel] = Component(
    "Trainer", OfSong, Learning, TrainedModel, "toy_executors:learn"
)
EVALUATE: Component[Any, Any, ModelEvaluation] = Component(
    "Evaluator", Judged, Most, ModelEvaluation, "toy_executors:evaluate"
)


def run(root: Path, most: float, command: str = "run") -> None:
    song = root.parent / "song"
    song.mkdir(exist_ok=True)
    with Runner(root, SilentProgress(), command=command) as runner:
        model = runner.run(LEARN, OfSong(Artifact(song, "v1")), Learning())
        runner.run(EVALUATE, Judged(model), Most(most))


def test_a_refused_model_is_found_with_advice_also_when_it_was_trained_before(
    tmp_path: Path,
) -> None:
    root = tmp_path / "root"
    run(root, most=9.0)
    accepted = read_candidate(root)
    assert accepted is not None
    assert not accepted.is_refused
    with pytest.raises(GateClosed):
        run(root, most=0.0)
    found = read_candidate(root)
    assert found is not None
    assert found.is_refused
    assert found.model == accepted.model == root / "Trainer" / "1"
    assert (found.model / "saved_model" / "saved_model.pb").is_file()
    assert found.advice == "training converged; give more songs"


def test_songs_that_were_refused_leave_no_model(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with Runner(root, SilentProgress(), command="run"):
        pass
    assert read_candidate(root) is None


def test_a_tuned_model_is_given_no_advice_that_tuning_refuses() -> None:
    found = find_advice(history(WORSE) | {"tuned": True})
    assert "the model overfitted" in found
    assert "keys all, trainer.architecture.dropout 0.5 or more songs" in found
    assert "units" not in found
    # Few windows for each token are what tuning is for.
    slow = find_advice(history(BETTER, 100, "time", maximum_seconds=100.0) | {"tuned": True})
    assert slow.endswith("try trainer.maximum_seconds 300, or more songs")


def test_a_parent_that_tuning_did_not_better_is_said_to_be_so() -> None:
    spoilt = [(3.0, 3.5), (2.5, 3.6), (2.0, 3.9)]
    assert "did not improve on the parent" in find_advice(history(spoilt) | {"tuned": True})
    assert "did not improve on the parent" not in find_advice(history(spoilt))
