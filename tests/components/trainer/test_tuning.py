"""Tuning: rows for new frames, the parent judged as it is, and parents that do not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tunesmith.components.artifacts import Examples, PushedModel, TrainedModel
from tunesmith.components.component import Context
from tunesmith.components.errors import ComponentError
from tunesmith.components.networks.paper.network import NETWORK
from tunesmith.components.networks.paper.sizes import PaperSizes
from tunesmith.components.parent.reading import Parent, read_parent
from tunesmith.components.progress import SilentProgress
from tunesmith.components.records.songs import write_tokens
from tunesmith.components.trainer.component import (
    MixtureParameters,
    ServedSettings,
    TrainerInputs,
    TrainerParameters,
    WarmStartParameters,
)
from tunesmith.components.trainer.executor import execute
from tunesmith.components.trainer.export.saved_model import export_model
from tunesmith.components.trainer.tuning import NEW_FRAME_BIAS, starting_weights
from tunesmith.music import Vocabulary

SIZES = PaperSizes(embedding=8, units=8, layers=1, dense=8, dropout=0.1, window=10)
KNOWN = ((), (60,), (62,), (64,), (60, 64, 67))
NEW = ((60, 64), (30,))
PARAMETERS = TrainerParameters(
    architecture=SIZES,
    epochs=4,
    batch=16,
    learning_rate=0.01,
    maximum_seconds=None,
    mixture=MixtureParameters(mix="network"),
    settings=ServedSettings(sampling_seconds=0),
)


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> PushedModel:
    """An untrained model that knows five frames."""
    keras.utils.set_random_seed(3)
    model = NETWORK.build(len(KNOWN), SIZES)
    # As if it were sure of something, so that tuning has something to unlearn.
    *others, bias = model.get_weights()
    model.set_weights([*others, bias + np.array([3, 0, 0, 0, 0], np.float32)])
    served = NETWORK.for_serving(model, len(KNOWN), SIZES)
    version = tmp_path_factory.mktemp("parent") / "1"
    export_model(served, SIZES.window, Vocabulary(KNOWN, 5.0), ServedSettings(), version)
    return PushedModel(version, "parent")


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    """Three songs of known and new frames."""
    folder = tmp_path_factory.mktemp("examples")
    with tf.io.TFRecordWriter(str(folder / "train-00000-of-00001.tfrecord")) as writer:
        for number in range(3):
            tokens = np.array(([1, 5, 2, 6] * 20)[number : 70 - number])
            writer.write(write_tokens(f"{number}.mid".encode(), tokens, 5.0))
    (folder / "vocabulary.json").write_text(Vocabulary((*KNOWN, *NEW), 5.0).to_json())
    return Examples(folder, "")


def tuned(folder: Path, examples: Examples, parent: PushedModel, **parameters: Any) -> TrainedModel:
    folder.mkdir()
    context = Context(folder, folder.parent, SilentProgress())
    execute(TrainerInputs(examples, parent), replace(PARAMETERS, **parameters), context)
    return TrainedModel(folder, "")


def said_by(parent: Parent, weights: list[Any], count: int, windows: Any) -> Any:
    model = NETWORK.build(count, parent.sizes)
    model.set_weights(weights)
    return np.asarray(model(windows, training=False))


def test_a_new_frame_begins_as_a_rarer_copy_of_the_nearest_known_one(parent: PushedModel) -> None:
    model = read_parent(parent.path)
    weights = starting_weights(model, Vocabulary((*KNOWN, *NEW), 5.0))
    windows = np.random.default_rng(0).integers(0, 5, (6, 10)).astype(np.int32)
    before = said_by(model, model.weights, 5, windows)
    after = said_by(model, weights, 7, windows)
    # What is known keeps its proportions; the triad lends to the third within it.
    np.testing.assert_allclose(after[:, :5] / after[:, :1], before / before[:, :1], rtol=1e-4)
    np.testing.assert_allclose(after[:, 5] / after[:, 4], np.exp(-NEW_FRAME_BIAS), rtol=1e-4)
    # A new frame in a window is heard as the one that it is nearest to.
    renamed = np.where(windows == 4, 5, windows)
    np.testing.assert_allclose(said_by(model, weights, 7, renamed), after, rtol=1e-5)


def test_tuning_begins_with_the_parent_and_ends_no_worse(
    parent: PushedModel, examples: Examples, tmp_path: Path
) -> None:
    model = tuned(tmp_path / "model", examples, parent)
    history = model.history()
    first, *others = history["epochs"]
    assert (first["epoch"], first["lesson"], first["windows"]) == (1, "parent", 0)
    assert [each["epoch"] for each in others] == [2, 3, 4, 5]
    assert {each["lesson"] for each in others} == {"whole"}
    assert history["best_epoch"] > 1
    assert min(each["cut_loss"] for each in others) < first["cut_loss"]
    assert history["tuned"]
    assert read_parent(model.saved_model).vocabulary.names[5:] == ("60,64", "30")


def test_songs_that_only_spoil_the_parent_leave_it_as_it_is(
    parent: PushedModel, examples: Examples, tmp_path: Path
) -> None:
    # A step as large as this unlearns everything.
    model = tuned(tmp_path / "model", examples, parent, learning_rate=50.0, epochs=2)
    assert model.history()["best_epoch"] == 1
    start = starting_weights(read_parent(parent.path), examples.vocabulary())
    for one, other in zip(read_parent(model.saved_model).weights, start, strict=True):
        np.testing.assert_array_equal(one, other)


def test_parameters_of_another_network_are_refused(
    parent: PushedModel, examples: Examples, tmp_path: Path
) -> None:
    wider = replace(SIZES, units=9)
    with pytest.raises(ComponentError, match=r"is paper with window 10, .*units 8.*: use the same"):
        tuned(tmp_path / "model", examples, parent, architecture=wider)


def test_tokens_of_another_vocabulary_are_refused(
    parent: PushedModel, examples: Examples, tmp_path: Path
) -> None:
    (tmp_path / "vocabulary.json").write_text(Vocabulary((*KNOWN[:3], *NEW), 5.0).to_json())
    for shard in examples.shards("train"):
        (tmp_path / shard.name).write_bytes(shard.read_bytes())
    with pytest.raises(ComponentError, match="does not begin with that of"):
        tuned(tmp_path / "model", Examples(tmp_path, ""), parent)


def test_a_training_without_a_parent_begins_with_learning(
    examples: Examples, tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    context = Context(tmp_path / "model", tmp_path, SilentProgress())
    plain = replace(PARAMETERS, epochs=1, warm_start=WarmStartParameters(share=0))
    execute(TrainerInputs(examples), plain, context)
    history = TrainedModel(tmp_path / "model", "").history()
    assert [each["lesson"] for each in history["epochs"]] == ["whole"]
    assert not history["tuned"]
