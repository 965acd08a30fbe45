"""What a run trained: where it lies, and whether more time or more songs would make it better."""

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
"""Nats a frame that are worth a word: what a model has to be better by than a baseline."""

LARGEST_DROPOUT = 0.6


@dataclass(frozen=True)
class Candidate:
    """What the newest run trained.

    Args:
        model: the folder of the TrainedModel.
        advice: one line that says why it is no better, and what would help.
        falls_short: whether the Evaluator did not bless it.
    """

    model: Path
    advice: str
    falls_short: bool


def read_candidate(root: Path) -> Candidate | None:
    """Return what the newest run of the pipeline trained, or took from before; None if nothing.

    Raises:
        StoreError: there is no metadata store, or it cannot be read.
    """
    runs = [run for run in read_runs(root) if run.command in PIPELINE_COMMANDS]
    step = _last(runs[-1], TrainedModel) if runs else None
    if step is None or step.artifact is None:
        return None
    model = TrainedModel(root / step.artifact, step.digest or "")
    judged = _last(runs[-1], ModelEvaluation)
    falls_short = (
        judged is not None
        and judged.artifact is not None
        and not ModelEvaluation(root / judged.artifact, judged.digest or "").blessed
    )
    transform = next((each for each in runs[-1].steps if each.component == "Transform"), None)
    # A list in the records of earlier releases.
    transpose = transform.parameters.get("transpose") if transform else None
    advice = find_advice(model.history(), transpose not in (None, AUTO, NONE, [0, 0]))
    return Candidate(model.path, advice, falls_short)


def _last(run: Run, kind: type[TrainedModel] | type[ModelEvaluation]) -> Step | None:
    """Return the last step of a run that left an artifact of a type."""
    return next((each for each in reversed(run.steps) if each.type == kind.__name__), None)


def find_advice(history: Mapping[str, Any], is_transposed: bool = False) -> str:
    """Return one line: why a model is no better, by its losses, and what would help.

    Args:
        history: of :meth:`TrainedModel.history`.
        is_transposed: whether copies of the songs in other keys were learned.
    """
    epochs, best_epoch = history["epochs"], history["best_epoch"]
    in_keys = is_transposed or bool(history.get("learned_in_other_keys"))
    best, last = epochs[best_epoch - 1], epochs[-1]
    parameters = history.get("parameters", {})
    if history.get("tuned") and best_epoch == 1:
        return (
            "the model that it was tuned from predicts the songs set aside as well as all that was "
            "learned from the others; give more songs of the style"
        )
    is_worse = last["cut_loss"] >= best["cut_loss"] + MATTERS
    if is_worse and last["train_loss"] < best["cut_loss"]:
        sizes = dict(parameters.get("architecture") or {})
        if history.get("tuned"):
            # That is the parent's.
            sizes.pop("units", None)
        advice = [*_against_overfitting(sizes, in_keys), "more songs"]
        return (
            f"it overfitted: songs set aside were predicted best after epoch {best_epoch} of "
            f"{len(epochs)} ({best['cut_loss']:.2f} nats, {last['cut_loss']:.2f} in the end), "
            f"while the training loss fell to {last['train_loss']:.2f}; try {_either(advice)}"
        )
    limit = parameters.get("maximum_seconds")
    if limit is not None and history.get("ended_by") == "time":
        return _after_the_time(history, limit)
    if best is not last:
        rate = parameters.get("learning_rate", 0.001)
        return (
            f"it stopped learning after epoch {best_epoch} of {len(epochs)}; try --learning-rate "
            f"{rate / 3:.1g}{_more_songs(history)}"
        )
    if len(epochs) >= parameters.get("epochs", len(epochs) + 1):
        return (
            f"the epochs ended while it still learned ({_progress(epochs)}); try --epochs "
            f"{3 * len(epochs)}{_more_songs(history)}"
        )
    return "it learned what these songs teach; give more songs"


def _after_the_time(history: Mapping[str, Any], limit: float) -> str:
    """Return whether more time would help, by what its second half was worth."""
    losses = [each["cut_loss"] for each in history["epochs"]]
    half, best = min(losses[: (len(losses) + 1) // 2]), min(losses)
    told = f"songs set aside {half:.2f} nats after half of the epochs, {best:.2f} at best"
    if len(losses) > 1 and half - best < MATTERS:
        return f"more time would hardly help ({told}); give more songs"
    return (
        f"it was stopped by the clock while it still learned ({told}); try --max-seconds "
        f"{_rounded(3 * limit)}{_more_songs(history)}"
    )


def _against_overfitting(sizes: Mapping[str, Any], is_transposed: bool) -> list[str]:
    advice = [] if is_transposed else ["--keys all"]
    dropout = sizes.get("dropout")
    if dropout is not None and dropout < LARGEST_DROPOUT:
        advice.append(f"--dropout {min(dropout + 0.2, LARGEST_DROPOUT):g}")
    if sizes.get("units", 0) >= 64:
        advice.append(f"--units {sizes['units'] // 2}")
    return advice


def _progress(epochs: list[dict[str, float]]) -> str:
    """Return how the loss on the songs set aside fell at last."""
    losses = [each["cut_loss"] for each in epochs[-2:]]
    return f"loss on songs set aside {' to '.join(f'{each:.2f}' for each in losses)} nats"


def _more_songs(history: Mapping[str, Any]) -> str:
    windows = history.get("windows", {}).get("train", 0)
    tokens = history.get("vocabulary_size", 0)
    if history.get("tuned"):
        # Most of them are tokens of the songs that its parent learned.
        return ", or more songs"
    if not tokens or windows >= FEW_WINDOWS * tokens:
        return ""
    return f", or more songs: {windows / tokens:.0f} training windows for each token are few"


def _either(advice: list[str]) -> str:
    *before, final = advice
    return f"{', '.join(before)} or {final}" if before else final


def _rounded(seconds: float) -> int:
    """Return seconds as one would type them."""
    return round(seconds / 10) * 10 if seconds >= 100 else max(1, round(seconds))
