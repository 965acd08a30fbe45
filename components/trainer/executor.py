"""Trainer's executor: trains a network to predict the next token, and exports its best epoch.

The best epoch and early stopping are decided by validation songs, which are a part of the training
songs; the eval split is not read here.
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
    TrainingLoop,
    TrainingPlan,
    TrainingState,
)
from tunesmith.components.trainer.tuning import known_to, parent_of, starting_weights

if TYPE_CHECKING:
    import tensorflow as tf


EVAL_BATCH = 256
"""Batch size of the validation."""

JUDGED_WINDOWS = 2048
"""Maximum number of validation windows: the standard error of their mean loss is some 0.05 nats,
and two cores take about two seconds for them."""


def execute(inputs: TrainerInputs, parameters: TrainerParameters, context: Context) -> None:
    """Write a :class:`~tunesmith.components.artifacts.TrainedModel` into the output
    folder.

    The loss is the sparse categorical cross-entropy in nats per window, the optimizer Nadam (Dozat
    2016), as in the paper's program. A killed training that is called again with the same examples,
    parameters and checkpoint folder resumes from the last checkpoint, with the same result as an
    uninterrupted one.

    Raises:
        ComponentError: the examples have no songs, the loss is not finite, or the checkpoints
            belong to another training.
    """
    choosing = time_for_sampling(parameters.settings.sampling_seconds, parameters.time_limit)
    deadline = Deadline(parameters.time_limit, finishing=FINISHING_SECONDS + choosing)
    examples, output, progress = inputs.examples, context.output, context.progress
    strategy = open_strategy(parameters.strategy, parameters.batch)
    vocabulary = examples.vocabulary()
    parent = parent_of(inputs.parent, parameters, vocabulary)
    index = SongIndex.of(examples.shards("train"))
    if not index.tokens:
        raise ComponentError("the train split has no songs: give more songs")
    learned, cut = index.split_off(parameters.cut_share)
    if not len(cut):
        progress.say("there are no validation songs: epochs are validated on the training songs")
    window = parameters.architecture.window
    memory = int(parameters.memory_mebibytes * MEBIBYTE)
    train = open_windows(learned, window, vocabulary.rests, memory)
    judged = WindowSample.of(cut if len(cut) else learned, window, vocabulary.rests, JUDGED_WINDOWS)
    # Frames that only validation songs have are mapped to the nearest frames of the training songs,
    # as the frames of eval songs are: otherwise the least confident epoch would be the best.
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
            _plan(parameters, is_tuned=parent is not None),
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
        with progress.task("fitting the mixture of the network with the n-grams"):
            served = counted.mixed_with(served, renamed, parameters.seed)
    generate = generate_signature(served, window, len(vocabulary))
    chosen = None
    if choosing:
        with progress.task("choosing the recommended sampling"):
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
    """Return the validation loss in words, compared with the unigram loss."""
    return (
        f"{'validation loss' if is_cut else 'training loss'} {loss:.2f} nats per frame (perplexity "
        f"{math.exp(loss):.0f}); loss of the frame frequencies alone {frequencies:.2f} nats "
        f"(perplexity {math.exp(frequencies):.0f})"
    )


def _warm_batch(parameters: TrainerParameters, replicas: int) -> int | None:
    """Return the batch size of the warm start, a multiple of `replicas`; None without one."""
    if parameters.warm_start.share == 0 or parameters.epochs == 1:
        return None
    return math.ceil(parameters.warm_start.batch / replicas) * replicas


def _in_keys(parameters: TrainerParameters, windows: int, tokens: int) -> bool:
    """Return whether training windows are transposed to other keys."""
    keys = parameters.regularisation.keys
    return keys == "all" or (keys == "auto" and windows < FEW_WINDOWS * tokens)


def _eval_batch(windows: int, replicas: int) -> int:
    """Return the batch size of the validation, a multiple of `replicas`, with little padding."""
    return math.ceil(min(EVAL_BATCH, windows) / replicas) * replicas


def _fingerprint(
    parameters: TrainerParameters,
    vocabulary: TokenVocabulary,
    index: SongIndex,
    parent: PushedModel | None,
) -> str:
    """Return the fingerprint of a training: all that its result depends on, except the code."""
    parts = [
        STATE_FORMAT,
        result_parameters(parameters),
        vocabulary_json(vocabulary),
        index.digest,
        *([parent.digest] if parent else ()),
    ]
    text = json.dumps(parts, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _plan(parameters: TrainerParameters, is_tuned: bool) -> TrainingPlan:
    alone = parameters.strategy != "multi-worker"
    return TrainingPlan(
        # The first epoch is the validation of the parent.
        parameters.epochs + is_tuned,
        parameters.patience,
        parameters.learning_rate,
        parameters.schedule,
        parameters.seed,
        parameters.epoch_steps,
        parameters.warm_start.share,
        parameters.warm_start.learning_rate,
        parameters.checkpoint_steps,
        # Workers must save at the same steps to have a common checkpoint.
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
    """Return the state to resume from: that of the last checkpoint, or a new one."""
    if checkpoints is None:
        return TrainingState()
    found = checkpoints.latest(progress)
    mine = (0, 0) if found is None else (found.epoch, found.step)
    agreed = common_position(strategy, *mine)
    if agreed == (0, 0):
        return TrainingState()
    if agreed != mine:
        # A worker that was killed before the others has an older checkpoint.
        found = checkpoints.at(*agreed)
    assert found is not None
    progress.say(f"training resumes from epoch {found.epoch + 1}, step {found.step}")
    return TrainingState.from_checkpoint(found, learner)
