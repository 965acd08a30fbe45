"""Training on real music, small enough for a test."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import keras
import numpy as np
import pytest
import tensorflow as tf

from tunesmith.components.artifacts import Examples, TrainedModel
from tunesmith.components.component import Context
from tunesmith.components.errors import ComponentError
from tunesmith.components.networks.paper.keras_model import build_model
from tunesmith.components.networks.paper.sizes import PaperSizes
from tunesmith.components.progress import SilentProgress
from tunesmith.components.records.songs import write_tokens
from tunesmith.components.trainer.component import (
    Mix,
    MixtureParameters,
    RegularisationParameters,
    ScheduleParameters,
    ServedSettings,
    TrainerInputs,
    TrainerParameters,
    WarmStartParameters,
)
from tunesmith.components.trainer.executor import execute
from tunesmith.music import Vocabulary

SMALL = PaperSizes(embedding=8, units=8, layers=1, dense=8, dropout=0.1, window=10)
# A constant rate and nothing else, as the paper has it.
PLAIN: dict[str, Any] = {
    "architecture": SMALL,
    "schedule": ScheduleParameters("constant", warmup_steps=0),
    "warm_start": WarmStartParameters(share=0),
    "regularisation": RegularisationParameters("none", noise=0, weight_decay=0),
    "clip_norm": None,
    "maximum_seconds": None,
    "settings": ServedSettings(sampling_seconds=0),
}
TUNE = [1, 2, 3, 4, 3, 2] * 20
SET_ASIDE = TUNE[:51]
"""Its digest is the smallest of the three songs."""

NO_MIXTURE = MixtureParameters(mix="network")
"""Where only the training itself is tested."""


def examples(
    folder: Path, train_songs: Sequence[list[int]], eval_songs: Sequence[list[int]]
) -> Examples:
    folder.mkdir()
    for split, songs in (("train", train_songs), ("eval", eval_songs)):
        path = folder / f"{split}-00000-of-00001.tfrecord"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for number, song in enumerate(songs):
                tokens = np.array(song)
                writer.write(write_tokens(f"{number}.mid".encode(), tokens, 5.0))
    vocabulary = Vocabulary(((), *((60 + step,) for step in range(6))), 5.0)
    (folder / "vocabulary.json").write_text(vocabulary.to_json())
    return Examples(folder, "")


def trained(folder: Path, data: Examples, **parameters: Any) -> TrainedModel:
    folder.mkdir()
    context = Context(folder, folder.parent, SilentProgress())
    execute(TrainerInputs(data), TrainerParameters(**{**PLAIN, **parameters}), context)
    return TrainedModel(folder, "")


@pytest.fixture(scope="module")
def tune(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    """A tune to learn, twice, and its beginning to judge an epoch by."""
    folder = tmp_path_factory.mktemp("tune") / "examples"
    return examples(folder, [TUNE, TUNE[3:], SET_ASIDE], [[6, 5, 4]])


def test_a_simple_tune_is_learned_drawn_and_logged(tune: Examples, tmp_path: Path) -> None:
    model = trained(
        tmp_path / "model",
        tune,
        epochs=9,
        batch=16,
        learning_rate=0.01,
        mixture=NO_MIXTURE,
        tensorboard=tmp_path / "log",
    )
    history = model.history()
    losses = [epoch["train_loss"] for epoch in history["epochs"]]
    # Six frames and the rest, told apart by what came before: far below ln 7 when it is learned.
    assert losses[0] > 1.2
    assert losses[-1] < 0.5
    assert history["windows"] == {
        "train": 237,
        "cut": 51,
        "judged": 51,
        "seen": 9 * 237,
    }
    assert history["vocabulary_size"] == 7
    (events,) = (tmp_path / "log").glob("*/events.out.tfevents.*")
    logged = scalars(events)
    assert logged["epoch/train_loss"] == pytest.approx(
        dict(zip(range(15, 136, 15), losses, strict=True))
    )
    assert set(logged) >= {"epoch/cut_loss", "epoch/learning_rate", "step/windows_per_second"}


def scalars(events: Path) -> dict[str, dict[int, float]]:
    """Return what TensorBoard would show of an event file: tag -> step -> value."""
    found: dict[str, dict[int, float]] = {}
    for record in tf.data.TFRecordDataset(str(events)).as_numpy_iterator():
        event = tf.compat.v1.Event.FromString(record)
        for value in event.summary.value:
            assert value.metadata.plugin_data.plugin_name == "scalars"
            found.setdefault(value.tag, {})[event.step] = float(tf.make_ndarray(value.tensor))
    return found


@pytest.mark.parametrize("mix", get_args(Mix))
def test_the_epoch_that_holds_out_best_is_exported(
    tune: Examples, tmp_path: Path, mix: Mix
) -> None:
    # A learning rate far too high makes the loss go up and down.
    model = trained(
        tmp_path / "model",
        tune,
        epochs=6,
        learning_rate=0.2,
        patience=6,
        mixture=MixtureParameters(mix),
    )
    history = model.history()
    losses = [epoch["cut_loss"] for epoch in history["epochs"]]
    assert losses.index(min(losses)) + 1 == history["best_epoch"]
    signatures = tf.saved_model.load(str(model.saved_model)).signatures
    song = np.array(SET_ASIDE, np.int32)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(song, (10, 0))[:-1], 10)

    def loss(signature: str, output: str) -> float:
        rows = signatures[signature](tokens=tf.constant(windows))[output].numpy()
        return float(-np.log(rows[np.arange(51), song]).mean())

    if mix == "network":
        assert "parts" not in signatures
        assert math.isclose(loss("serving_default", "probabilities"), min(losses), rel_tol=1e-3)
    else:
        assert math.isclose(loss("parts", "network"), min(losses), rel_tol=1e-3)
        # The tune repeats itself: what was counted foresees it whatever the network learned.
        assert loss("serving_default", "probabilities") < 0.2


def test_forward_halves_learn_first_and_hand_over_what_they_learned(
    tune: Examples, tmp_path: Path
) -> None:
    warm = WarmStartParameters(share=0.5, learning_rate=0.02, batch=16)
    sizes = replace(SMALL, layers=2)
    history = trained(
        tmp_path / "model",
        tune,
        architecture=sizes,
        warm_start=warm,
        epochs=8,
        epoch_steps=8,
        learning_rate=1e-9,
        mixture=NO_MIXTURE,
    ).history()
    epochs = history["epochs"]
    assert [each["lesson"] for each in epochs] == ["warm start"] * 4 + ["whole"] * 4
    # Fifteen steps of 16 windows in two epochs; the whole network takes batches of 64.
    assert [each["windows"] for each in epochs] == [128, 109, 128, 109, 237, 237, 237, 237]
    assert epochs[3]["cut_loss"] < 0.8 * epochs[0]["cut_loss"]
    # The whole network hardly moves: it predicts what the best of the warm start did.
    best = min(each["cut_loss"] for each in epochs[:4])
    assert [each["cut_loss"] for each in epochs[4:]] == pytest.approx([best] * 4, rel=1e-3)
    assert history["windows"]["seen"] == sum(each["windows"] for each in epochs)


def test_the_same_seed_gives_the_same_losses(tune: Examples, tmp_path: Path) -> None:
    first, second = (
        trained(
            tmp_path / name, tune, epochs=2, learning_rate=0.02, seed=1, mixture=NO_MIXTURE
        ).history()["epochs"]
        for name in ("first", "second")
    )
    for a, b in zip(first, second, strict=True):
        assert math.isclose(a["train_loss"], b["train_loss"], rel_tol=1e-5)


def test_training_stops_when_patience_or_time_is_up(tune: Examples, tmp_path: Path) -> None:
    patient = trained(
        tmp_path / "a", tune, epochs=30, learning_rate=0.3, patience=1, mixture=NO_MIXTURE
    ).history()
    assert len(patient["epochs"]) == patient["best_epoch"] + 1 < 30
    timed = trained(
        tmp_path / "b", tune, epochs=30, maximum_seconds=0.001, mixture=NO_MIXTURE
    ).history()
    assert (len(timed["epochs"]), timed["ended_by"]) == (1, "time")
    assert timed["windows"]["seen"] == 64


def test_a_loss_that_is_no_number_is_told(tune: Examples, tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match=r"became (nan|inf).*smaller trainer\.lear") as told:
        trained(tmp_path / "model", tune, epochs=3, learning_rate=1e30)
    assert "\n" not in str(told.value)


def test_training_songs_without_a_frame_are_told(tmp_path: Path) -> None:
    data = examples(tmp_path / "examples", [], [TUNE])
    with pytest.raises(ComponentError, match="the train split has no songs"):
        trained(tmp_path / "model", data)


def test_a_single_song_is_learned_and_judged_by_and_that_is_said(tmp_path: Path) -> None:
    said: list[str] = []

    class Recorder(SilentProgress):
        def say(self, line: str) -> None:
            said.append(line)

    data = examples(tmp_path / "examples", [TUNE], [])
    # Trainer does not look at the eval split.
    (shard,) = data.shards("eval")
    shard.write_bytes(b"no record")
    (tmp_path / "model").mkdir()
    parameters = TrainerParameters(**PLAIN, epochs=1)
    context = Context(tmp_path / "model", tmp_path, Recorder())
    execute(TrainerInputs(data), parameters, context)
    history = TrainedModel(tmp_path / "model", "").history()
    assert history["windows"] == {"train": 120, "cut": 0, "judged": 120, "seen": 120}
    assert history["songs"] == {"train": 1, "cut": 0}
    assert "there are no validation songs: epochs are validated on the training songs" in said
    # A third each of its tokens are 2 and 3, and a sixth each 1 and 4.
    frequencies = 2 / 3 * math.log(3) + 1 / 3 * math.log(6)
    assert history["frequencies_cut_loss"] == pytest.approx(frequencies)
    (outcome,) = (line for line in said if line.startswith("training loss "))
    assert f"{history['epochs'][0]['cut_loss']:.2f} nats per frame" in outcome
    assert outcome.endswith("1.33 nats (perplexity 4)")


def test_progress_counts_steps_and_says_the_losses(tune: Examples, tmp_path: Path) -> None:
    seen: list[tuple[float, str]] = []

    class Recorder(SilentProgress):
        @contextmanager
        def task(self, title: str, total: float | None = None) -> Iterator[Any]:
            assert (title, total) == ("training", 1)
            yield self

        def update(self, done: float, note: str = "") -> None:
            seen.append((done, note))

    (tmp_path / "model").mkdir()
    parameters = TrainerParameters(**PLAIN, epochs=2, mixture=NO_MIXTURE)
    context = Context(tmp_path / "model", tmp_path, Recorder())
    execute(TrainerInputs(tune), parameters, context)
    done = [count for count, _ in seen]
    assert done == sorted(done)
    assert {0, 0.5, 1} <= set(done)
    assert re.fullmatch(r"epoch 1, loss \d\.\d{3}, \d+ windows/s", seen[1][1])
    assert re.fullmatch(r"epoch 2, loss \S+, validation loss \d\.\d{3}, \d+ windows/s", seen[-2][1])


@pytest.mark.parametrize(
    "values",
    [
        {"epochs": 0},
        {"batch": 0},
        {"patience": 0},
        {"learning_rate": 0},
        {"clip_norm": -1},
        {"cut_share": 1},
        {"memory_mebibytes": 0},
        {"precision": "float8"},
        {"strategy": "many"},
        {"strategy": "multi-worker", "maximum_seconds": 3},
        {"seed": -1},
    ],
)
def test_parameters_out_of_range_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be|cannot be set"):
        TrainerParameters(**values)


def test_a_portable_network_has_the_same_weights() -> None:
    free, portable = (build_model(7, SMALL, portable=portable) for portable in (False, True))
    portable.set_weights(free.get_weights())
    tokens = keras.ops.convert_to_tensor(np.arange(10)[None] % 7)
    np.testing.assert_allclose(free(tokens), portable(tokens), atol=1e-6)
