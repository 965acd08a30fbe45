"""Evaluator's executor: evaluates an exported model on held-out songs and blesses or refuses it.

The SavedModel itself is evaluated, through its signatures. A refusal is a result, not an error:
``evaluation.json`` has the failed checks with their values.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tunesmith.components.artifacts import (
    Examples,
    ModelEvaluation,
    PushedModel,
    Split,
    TrainedModel,
)
from tunesmith.components.component import Context
from tunesmith.components.errors import ComponentError
from tunesmith.components.evaluator.baselines import count_baselines
from tunesmith.components.evaluator.blessing import check_model
from tunesmith.components.evaluator.comparison import Comparison, compare
from tunesmith.components.evaluator.component import EvaluatorInputs, EvaluatorParameters
from tunesmith.components.evaluator.composing import compose
from tunesmith.components.evaluator.evaluation_file import Evaluation
from tunesmith.components.evaluator.likelihood import Figures, Predictor, score
from tunesmith.components.evaluator.song_measures import describe_music
from tunesmith.components.progress import Progress
from tunesmith.components.records.eval_windows import EvalWindows, Tokens
from tunesmith.components.records.tfrecord import read_tokens
from tunesmith.components.saved_predictor import SavedPredictor
from tunesmith.components.spread import evenly
from tunesmith.music import write_midi

PART_WINDOWS = 8192
"""Maximum number of held-out windows, evenly spread, for the parts of a mixture."""


def execute(inputs: EvaluatorInputs, parameters: EvaluatorParameters, context: Context) -> None:
    """Write a :class:`~tunesmith.components.artifacts.ModelEvaluation` into the output
    folder.

    ``evaluation.json``, and the composed songs, ``songs/<number>.mid``.

    Raises:
        ComponentError: a split has no songs, or the model was trained on other examples.
    """
    seconds: dict[str, float] = {}
    output, progress = context.output, context.progress
    candidate = _load(inputs.model, inputs.examples)
    songs = _read_splits(inputs.examples)
    held_out: dict[Split, EvalWindows] = {
        split: EvalWindows.of(some, candidate.window, candidate.vocabulary.rests)
        for split, some in songs.items()
        if split != "train"
    }
    with _timed(seconds, "likelihood"):
        splits = _evaluate({"model": candidate}, held_out, progress, "evaluating the model")[
            "model"
        ]
    with _timed(seconds, "parts"):
        some: dict[Split, EvalWindows] = {"eval": held_out["eval"].spread(PART_WINDOWS)}
        parts = _evaluate(candidate.parts(), some, progress, "evaluating the parts of the mixture")
    with _timed(seconds, "baselines"):
        counted = count_baselines(
            songs["train"],
            len(candidate.vocabulary),
            candidate.window,
            candidate.vocabulary.rests,
        )
        baselines = _evaluate(counted, held_out, progress, "evaluating the baselines")
    with _timed(seconds, "previous"):
        previous = _compare(candidate, inputs.previous, songs["eval"], progress)
    with _timed(seconds, "composing"):
        # Rows that are not finite cannot be sampled.
        drawable = math.isfinite(splits["eval"].sum_error)
        composed = _compose(candidate, parameters, progress) if drawable else None
        paths = _write_songs(candidate, composed, output)
    with _timed(seconds, "music"):
        music = _music(candidate, composed, songs, parameters)
    checks = check_model(
        splits["eval"],
        {name: figures["eval"] for name, figures in baselines.items()},
        previous,
        parameters.blessing,
        music,
    )
    evaluation = Evaluation(
        checks=checks,
        model_digest=inputs.model.digest,
        splits=splits,
        baselines=baselines,
        parts=parts,
        previous_version=None if inputs.previous is None else inputs.previous.path.name,
        previous=previous,
        music=music,
        songs=paths,
        composed_frames=0 if composed is None else composed.shape[1],
        parameters=asdict(parameters),
        seconds=seconds,
    )
    evaluation.write(output / ModelEvaluation.FILE)
    progress.say(evaluation.verdict())


def _load(model: TrainedModel, examples: Examples) -> SavedPredictor:
    candidate = SavedPredictor.load(model.saved_model)
    if candidate.vocabulary.names != examples.vocabulary().names:
        raise ComponentError(
            f"the vocabulary of {model.path} differs from that of {examples.path}: train on these "
            "examples"
        )
    return candidate


def _read_splits(examples: Examples) -> dict[Split, list[Tokens]]:
    """Return the songs by split; the test split only if it has songs."""
    songs: dict[Split, list[Tokens]] = {}
    for split in ("train", "eval", "test"):
        shards = examples.shards(split)
        found = [song for song in read_tokens(shards) if len(song)] if shards else []
        if found or split != "test":
            songs[split] = found
    for split, some in songs.items():
        if not some:
            raise ComponentError(f"the {split} split has no songs: give more songs")
    return songs


def _evaluate(
    predictors: Mapping[str, Predictor],
    held_out: Mapping[Split, EvalWindows],
    progress: Progress,
    title: str,
) -> dict[str, dict[Split, Figures]]:
    """Return the figures of each predictor by split."""
    total = len(predictors) * sum(map(len, held_out.values()))
    with _counting(progress, title, total) as advance:
        return {
            name: {
                split: Figures.of(score(predictor, windows, advance))
                for split, windows in held_out.items()
            }
            for name, predictor in predictors.items()
        }


def _compare(
    candidate: SavedPredictor,
    served: PushedModel | None,
    songs: Sequence[Tokens],
    progress: Progress,
) -> Comparison | None:
    if served is None:
        return None
    try:
        previous = SavedPredictor.load(served.path)
    except ComponentError as error:
        # A model that cannot be loaded is not served either.
        return Comparison(f"the served model cannot be compared: {error}")
    total = 2 * sum(map(len, songs))
    title = f"comparing with version {served.path.name}"
    with _counting(progress, title, total) as advance:
        return compare(candidate, previous, songs, advance)


def _compose(
    candidate: SavedPredictor, parameters: EvaluatorParameters, progress: Progress
) -> Tokens:
    title = f"composing {parameters.songs} songs"
    with _counting(progress, title, parameters.steps) as advance:
        return compose(
            candidate,
            candidate.window,
            candidate.vocabulary.rests,
            songs=parameters.songs,
            steps=parameters.steps,
            seed=parameters.seed,
            maximum_seconds=parameters.maximum_composing_seconds,
            sampling=candidate.sampling,
            advance=advance,
        )


def _music(
    candidate: SavedPredictor,
    composed: Tokens | None,
    songs: Mapping[Split, Sequence[Tokens]],
    parameters: EvaluatorParameters,
) -> dict[str, Any]:
    train = songs["train"]
    others = [song for split, some in songs.items() if split != "train" for song in some]
    return describe_music(
        candidate.vocabulary,
        [] if composed is None else list(composed),
        train,
        train[evenly(len(train), parameters.corpus_songs)],
        others,
        parameters.steps if composed is None else composed.shape[1],
        parameters.copied_frames,
    )


def _write_songs(candidate: SavedPredictor, composed: Tokens | None, output: Path) -> list[str]:
    """Write the songs as MIDI and return their paths below `output`."""
    if composed is None:
        return []
    (output / "songs").mkdir()
    paths = [f"songs/{number:02d}.mid" for number in range(1, len(composed) + 1)]
    vocabulary = candidate.vocabulary
    for path, song in zip(paths, composed, strict=True):
        frames = vocabulary.decode(song)
        write_midi(frames, output / path, vocabulary.frames_per_second, candidate.program)
    return paths


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    seconds[name] = time.monotonic() - started


@contextmanager
def _counting(progress: Progress, title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Open a task and yield a function that advances it."""
    done = 0
    with progress.task(title, total) as task:

        def advance(count: int) -> None:
            nonlocal done
            done += count
            task.update(done)

        yield advance
