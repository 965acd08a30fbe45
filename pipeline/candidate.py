"""The model that a run trained, and advice on how to improve it.

Parameters in an advice have their configuration keys, such as ``trainer.learning_rate``; the
command line puts in the names of its options.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.components.artifacts import ModelEvaluation, TrainedModel
from tunesmith.components.trainer.other_keys import FEW_WINDOWS
from tunesmith.components.transform.component import AUTO, NONE
from tunesmith.pipeline.history import PIPELINE_COMMANDS, Run, Step, read_runs

MATTERS = 0.02
"""Smallest difference that counts, in nats per frame: the margin over a baseline, too."""

LARGEST_DROPOUT = 0.6

LEARNING_RATE, EPOCHS = "trainer.learning_rate", "trainer.epochs"
MAXIMUM_SECONDS, KEYS = "trainer.maximum_seconds", "trainer.regularisation.keys"
DROPOUT, UNITS = "trainer.architecture.dropout", "trainer.architecture.units"
"""Keys of the parameters that an advice names."""


@dataclass(frozen=True)
class Candidate:
    """The model of the newest run.

    Args:
        model: the folder of the TrainedModel.
        advice: one line: what limits the model, and how to improve it.
        is_refused: whether the Evaluator refused it.
    """

    model: Path
    advice: str
    is_refused: bool


def read_candidate(root: Path) -> Candidate | None:
    """Return the model of the newest run, trained or cached; None if it has none.

    Raises:
        StoreError: there is no metadata store, or it cannot be read.
    """
    runs = [run for run in read_runs(root) if run.command in PIPELINE_COMMANDS]
    step = _last(runs[-1], TrainedModel) if runs else None
    if step is None or step.artifact is None:
        return None
    model = TrainedModel(root / step.artifact, step.digest or "")
    evaluated = _last(runs[-1], ModelEvaluation)
    is_refused = (
        evaluated is not None
        and evaluated.artifact is not None
        and not ModelEvaluation(root / evaluated.artifact, evaluated.digest or "").blessed
    )
    transform = next((each for each in runs[-1].steps if each.component == "Transform"), None)
    # Earlier releases recorded a list.
    transpose = transform.parameters.get("transpose") if transform else None
    advice = find_advice(model.history(), transpose not in (None, AUTO, NONE, [0, 0]))
    return Candidate(model.path, advice, is_refused)


def _last(run: Run, kind: type[TrainedModel] | type[ModelEvaluation]) -> Step | None:
    """Return the last step of a run with an artifact of a type."""
    return next((each for each in reversed(run.steps) if each.type == kind.__name__), None)


def find_advice(history: Mapping[str, Any], is_transposed: bool = False) -> str:
    """Return one line: what limits a model, by its losses, and how to improve it.

    Args:
        history: of :meth:`TrainedModel.history`.
        is_transposed: whether the training songs include copies in other keys.
    """
    epochs, best_epoch = history["epochs"], history["best_epoch"]
    in_keys = is_transposed or bool(history.get("learned_in_other_keys"))
    best, last = epochs[best_epoch - 1], epochs[-1]
    parameters = history.get("parameters", {})
    if history.get("tuned") and best_epoch == 1:
        return (
            "training did not improve on the parent model, by the loss on the validation songs; "
            "give more songs of the style"
        )
    is_worse = last["cut_loss"] >= best["cut_loss"] + MATTERS
    if is_worse and last["train_loss"] < best["cut_loss"]:
        sizes = dict(parameters.get("architecture") or {})
        if history.get("tuned"):
            # The parent has this size.
            sizes.pop("units", None)
        advice = [*_against_overfitting(sizes, in_keys), "more songs"]
        return (
            f"the model overfitted: the validation loss was lowest after epoch {best_epoch} of "
            f"{len(epochs)} ({best['cut_loss']:.2f} nats, {last['cut_loss']:.2f} in the last), "
            f"while the training loss fell to {last['train_loss']:.2f}; try {_either(advice)}"
        )
    limit = parameters.get("maximum_seconds")
    if limit is not None and history.get("ended_by") == "time":
        return _after_the_time(history, limit)
    if best is not last:
        rate = parameters.get("learning_rate", 0.001)
        return (
            f"the validation loss stopped improving after epoch {best_epoch} of {len(epochs)}; try "
            f"{LEARNING_RATE} {rate / 3:.1g}{_more_songs(history)}"
        )
    if len(epochs) >= parameters.get("epochs", len(epochs) + 1):
        return (
            f"the epochs ended while the model was still improving ({_progress(epochs)}); try "
            f"{EPOCHS} {3 * len(epochs)}{_more_songs(history)}"
        )
    return "training converged; give more songs"


def _after_the_time(history: Mapping[str, Any], limit: float) -> str:
    """Return whether more time would help, by the improvement in the second half of the epochs."""
    losses = [each["cut_loss"] for each in history["epochs"]]
    half, best = min(losses[: (len(losses) + 1) // 2]), min(losses)
    losses_found = f"validation loss {half:.2f} nats after half of the epochs, {best:.2f} at best"
    if len(losses) > 1 and half - best < MATTERS:
        return f"more time would hardly help ({losses_found}); give more songs"
    return (
        f"the time limit ended training while the model was still improving ({losses_found}); try "
        f"{MAXIMUM_SECONDS} {_rounded(3 * limit)}{_more_songs(history)}"
    )


def _against_overfitting(sizes: Mapping[str, Any], is_transposed: bool) -> list[str]:
    advice = [] if is_transposed else [f"{KEYS} all"]
    dropout = sizes.get("dropout")
    if dropout is not None and dropout < LARGEST_DROPOUT:
        advice.append(f"{DROPOUT} {min(dropout + 0.2, LARGEST_DROPOUT):g}")
    if sizes.get("units", 0) >= 64:
        advice.append(f"{UNITS} {sizes['units'] // 2}")
    return advice


def _progress(epochs: list[dict[str, float]]) -> str:
    """Return the change of the validation loss in the last epoch."""
    losses = [each["cut_loss"] for each in epochs[-2:]]
    return f"validation loss {' to '.join(f'{each:.2f}' for each in losses)} nats"


def _more_songs(history: Mapping[str, Any]) -> str:
    windows = history.get("windows", {}).get("train", 0)
    tokens = history.get("vocabulary_size", 0)
    if history.get("tuned"):
        # Most tokens are the parent's and need not occur in these songs.
        return ", or more songs"
    if not tokens or windows >= FEW_WINDOWS * tokens:
        return ""
    return f", or more songs: {windows / tokens:.0f} training windows per token are few"


def _either(advice: list[str]) -> str:
    *before, final = advice
    return f"{', '.join(before)} or {final}" if before else final


def _rounded(seconds: float) -> int:
    """Return seconds as a round number."""
    return round(seconds / 10) * 10 if seconds >= 100 else max(1, round(seconds))
