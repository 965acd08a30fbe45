"""Trainer: learns the next token from its window and exports its best epoch.

Which epoch that is, and when to stop, is judged by a cut of the training songs: the eval split is
not looked at here.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.components.artifacts import PushedModel
from tunesmith.components.component import Context, result_parameters
from tunesmith.components.encodings.encoding import TokenVocabulary, vocabulary_json
from tunesmith.components.errors import ComponentError
from tunesmith.components.networks.network import load_network
from tunesmith.components.progress import Progress
from tunesmith.components.records.song_index import SongIndex
from tunesmith.components.records.window_sample import WindowSample
from tunesmith.components.records.windows import open_windows
from tunesmith.components.trainer.checkpoints import CheckpointFolder
from tunesmith.components.trainer.component import TrainerInputs, TrainerParameters
from tunesmith.components.trainer.deadline import FINISHING_SECONDS, Deadline
from tunesmith.components.trainer.distribution import common_position, open_strategy
from tunesmith.components.trainer.export.content import write_content
from tunesmith.components.trainer.export.saved_model import export_model
from tunesmith.components.trainer.learner import Learner
from tunesmith.components.trainer.near_tokens import nearest_known
from tunesmith.components.trainer.other_keys import FEW_WINDOWS, shift_table
from tunesmith.components.trainer.preparation import MEBIBYTE, count_parts, recommend
from tunesmith.components.trainer.recommended_sampling import time_for_sampling
from tunesmith.components.trainer.training_log import ScalarLog, TensorBoardLog
from tunesmith.components.trainer.training_loop import (
    STATE_FORMAT,
    Course,
    TrainingLoop,
    TrainingState,
)
from tunesmith.components.trainer.tuning import known_to, parent_of, starting_weights

if TYPE_CHECKING:
    import tensorflow as tf


EVAL_BATCH = 256
"""Windows judged at a time."""

JUDGED_WINDOWS = 2048
"""Windows of the songs set aside that each epoch is judged by, at most: the standard error of their
mean loss is some 0.05 nats, and two cores take about two seconds for them."""


def execute(inputs: TrainerInputs, parameters: TrainerParameters, context: Context) -> None:
    """Write a :class:`~tunesmith.components.artifacts.TrainedModel` into the output
    folder.

    The loss is the sparse categorical cross-entropy in nats per window, the optimizer Nadam
    (Dozat 2016), as in the paper's program. Killed and called again with the same examples,
    parameters and checkpoint folder, it goes on from the last checkpoint and comes to the result
    that it would have come to.

    Raises:
        ComponentError: the examples have no windows, the loss is no longer a number, or the
            checkpoints belong to another training.
    """
    choosing = time_for_sampling(parameters.settings.sampling_seconds, parameters.time_limit)
    deadline = Deadline(parameters.time_limit, finishing=FINISHING_SECONDS + choosing)
    examples, output, progress = inputs.examples, context.output, context.progress
    strategy = open_strategy(parameters.strategy, parameters.batch)
    vocabulary = examples.vocabulary()
    parent = parent_of(inputs.parent, parameters, vocabulary)
    index = SongIndex.of(examples.shards("train"))
    if not index.tokens:
        raise ComponentError("the train split has no windows: give more songs")
    learned, cut = index.split_off(parameters.cut_share)
    if not len(cut):
        progress.say("no song is set aside: each epoch is judged by the songs that it learned")
    window = parameters.architecture.window
    memory = int(parameters.memory_mebibytes * MEBIBYTE)
    train = open_windows(learned, window, vocabulary.rests, memory)
    judged = WindowSample.of(cut if len(cut) else learned, window, vocabulary.rests, JUDGED_WINDOWS)
    # Frames that only songs set aside have count as the nearest learned ones, as eval songs' frames
    # do: otherwise that epoch would be best that is the least sure of anything.
    counts = learned.counts(len(vocabulary))
    renamed = nearest_known(vocabulary, (counts > 0) | known_to(parent, vocabulary))
    judged = judged.renamed(renamed)
    frequencies = float(-np.log(np.maximum(counts[judged.targets], 1) / counts.sum()).mean())
    in_keys = _in_keys(parameters, len(train), len(vocabulary))
    counted = count_parts(
        parameters, vocabulary, index, cut, progress, parent.table if parent else None
    )
    network = load_network(parameters.network)
    learner = Learner(
        network,
        len(vocabulary),
        parameters.architecture,
        strategy,
        seed=parameters.seed,
        batch=parameters.batch,
        warm_batch=None if parent else _warm_batch(parameters, strategy.num_replicas_in_sync),
        eval_batch=_eval_batch(len(judged), strategy.num_replicas_in_sync),
        clip_norm=parameters.clip_norm,
        weight_decay=parameters.regularisation.weight_decay,
        noise=parameters.regularisation.noise,
        keys=shift_table(vocabulary) if in_keys else None,
        precision=parameters.precision,
    )
    as_it_is = None
    if parent is not None:
        learner.set_weights(starting_weights(parent, vocabulary))
        as_it_is = WindowSample.of(learned, window, vocabulary.rests, JUDGED_WINDOWS)
    fingerprint = _fingerprint(parameters, vocabulary, index, inputs.parent)
    with _checkpoints(context.checkpoints, fingerprint) as checkpoints:
        loop = TrainingLoop(
            learner,
            train,
            judged,
            _course(parameters, is_tuned=parent is not None),
            checkpoints,
            _log(parameters, context, fingerprint),
            _resume(checkpoints, learner, strategy, progress),
            deadline,
            as_it_is,
        )
        loop.run(progress)
    progress.say(_outcome(min(loop.state.cut_losses), frequencies, is_cut=bool(len(cut))))
    from tunesmith.components.trainer.export.generate import generate_signature

    served = network.for_serving(learner.model, len(vocabulary), parameters.architecture)
    if counted is not None:
        with progress.task("weighing the network against what was counted"):
            served = counted.mixed_with(served, renamed, parameters.seed)
    generate = generate_signature(served, window, len(vocabulary))
    chosen = None
    if choosing:
        with progress.task("choosing the sampling that the model recommends"):
            chosen = recommend(generate, index, vocabulary, window, parameters.seed, choosing)
    export_model(
        served,
        window,
        vocabulary,
        parameters.settings,
        output / "saved_model",
        index.in_order(),
        None if chosen is None else chosen.sampling,
        generate,
    )
    write_content(output)
    state = loop.state
    history = {
        "parameters": result_parameters(parameters),
        "model_parameters": learner.model.count_params(),
        "vocabulary_size": len(vocabulary),
        "windows": {
            "train": len(train),
            "cut": cut.tokens,
            "judged": len(judged),
            "seen": sum(each["windows"] for each in state.epochs),
        },
        "learned_in_other_keys": in_keys,
        "tuned": parent is not None,
        "songs": {"train": len(learned), "cut": len(cut)},
        "sampling": None if chosen is None else chosen.report(),
        "epochs": state.epochs,
        "best_epoch": state.best_epoch,
        "frequencies_cut_loss": frequencies,
        "ended_by": state.ended_by,
        "seconds": deadline.elapsed(),
    }
    (output / "history.json").write_text(json.dumps(history, indent=2), encoding="utf-8")


def _outcome(loss: float, frequencies: float, is_cut: bool) -> str:
    """Return in words how well the songs that an epoch is judged by are predicted."""
    return (
        f"{'songs set aside' if is_cut else 'the songs that were learned'} are predicted with "
        f"{loss:.2f} nats a frame, as if each were one of {math.exp(loss):.0f} equally likely "
        f"frames; how often each frame occurs leaves {frequencies:.2f} nats, or one of "
        f"{math.exp(frequencies):.0f}"
    )


def _warm_batch(parameters: TrainerParameters, replicas: int) -> int | None:
    """Return the windows in a step of the warm start, which replicas can share; None without it."""
    if parameters.warm_start.share == 0 or parameters.epochs == 1:
        return None
    return math.ceil(parameters.warm_start.batch / replicas) * replicas


def _in_keys(parameters: TrainerParameters, windows: int, tokens: int) -> bool:
    """Return whether the songs are learned in other keys as well."""
    keys = parameters.regularisation.keys
    return keys == "all" or (keys == "auto" and windows < FEW_WINDOWS * tokens)


def _eval_batch(windows: int, replicas: int) -> int:
    """Return a batch that all replicas can share, with little filling where windows are few."""
    return math.ceil(min(EVAL_BATCH, windows) / replicas) * replicas


def _fingerprint(
    parameters: TrainerParameters,
    vocabulary: TokenVocabulary,
    index: SongIndex,
    parent: PushedModel | None,
) -> str:
    """Return what names a training by all that its result depends on, but for the code."""
    parts = [
        STATE_FORMAT,
        result_parameters(parameters),
        vocabulary_json(vocabulary),
        index.digest,
        *([parent.digest] if parent else ()),
    ]
    text = json.dumps(parts, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _course(parameters: TrainerParameters, is_tuned: bool) -> Course:
    alone = parameters.strategy != "multi-worker"
    return Course(
        # The first one is the parent as it is.
        parameters.epochs + is_tuned,
        parameters.patience,
        parameters.learning_rate,
        parameters.schedule,
        parameters.seed,
        parameters.epoch_steps,
        parameters.warm_start.share,
        parameters.warm_start.learning_rate,
        parameters.checkpoint_steps,
        # Workers save at the same steps, or there is none that all can go on from.
        parameters.checkpoint_seconds if alone else None,
    )


@contextmanager
def _checkpoints(path: Path | None, fingerprint: str) -> Iterator[CheckpointFolder | None]:
    if path is None:
        yield None
        return
    folder = CheckpointFolder(path, fingerprint)
    with folder.locked():
        yield folder


def _log(parameters: TrainerParameters, context: Context, fingerprint: str) -> ScalarLog:
    folder = parameters.tensorboard or context.pipeline_root / "tensorboard"
    return TensorBoardLog(folder / fingerprint[:12])


def _resume(
    checkpoints: CheckpointFolder | None,
    learner: Learner,
    strategy: tf.distribute.Strategy,
    progress: Progress,
) -> TrainingState:
    """Return the state to start from: the last checkpoint's, or the beginning."""
    if checkpoints is None:
        return TrainingState()
    found = checkpoints.latest(progress)
    mine = (0, 0) if found is None else (found.epoch, found.step)
    agreed = common_position(strategy, *mine)
    if agreed == (0, 0):
        return TrainingState()
    if agreed != mine:
        # A worker that was killed before the others has no newer one.
        found = checkpoints.at(*agreed)
    assert found is not None
    progress.say(f"training goes on from epoch {found.epoch + 1}, step {found.step}")
    return TrainingState.from_checkpoint(found, learner)
