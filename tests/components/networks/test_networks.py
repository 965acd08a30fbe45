"""The duties of every network: those of the package, and that of docs/model.md in its folder."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tunesmith.components import networks
from tunesmith.components.artifacts import Examples, TrainedModel
from tunesmith.components.component import Context, ParameterError, parameter_fields
from tunesmith.components.networks.network import (
    NetworkSizes,
    load_network,
    network_modules,
    network_names,
    sizes_kinds,
)
from tunesmith.components.progress import SilentProgress
from tunesmith.components.records.songs import write_tokens
from tunesmith.components.records.windows import Shuffle, WindowTable
from tunesmith.components.trainer.component import (
    MixtureParameters,
    RegularisationParameters,
    ScheduleParameters,
    ServedSettings,
    TrainerInputs,
    TrainerParameters,
    WarmStartParameters,
)
from tunesmith.components.trainer.executor import execute
from tunesmith.components.trainer.learner import Learner
from tunesmith.music import Vocabulary

WINDOW, V = 10, 7
TUNE = [1, 2, 3, 4, 3, 2] * 20
HELD_OUT = TUNE[:51]
"""The song that Trainer sets aside: its digest is the smallest."""

PAGE = Path(__file__).parents[3] / "docs" / "model.md"


@pytest.fixture(scope="module", autouse=True)
def _elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let a folder with the network of docs/model.md be part of the package ``networks``."""
    _, own = PAGE.read_text(encoding="utf-8").split("### A network of your own")
    sizes, network, *_ = re.findall(r"```python\n(.*?)```", own, re.DOTALL)
    path = tmp_path_factory.mktemp("more")
    folder = path / "elsewhere"
    folder.mkdir()
    for name, source in (("__init__", ""), ("sizes", sizes), ("network", network)):
        (folder / f"{name}.py").write_text(source)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "__path__", [*networks.__path__, str(path)])
        yield
    for name in [each for each in sys.modules if each.startswith(f"{networks.__name__}.elsewhere")]:
        del sys.modules[name]


class Trained(NamedTuple):
    """A network that has learned :data:`TUNE`."""

    parameters: TrainerParameters
    model: TrainedModel
    answers: dict[str, Any]


def small(name: str) -> NetworkSizes:
    """Return sizes of the network `name` that are quick to train: no layer wider than 24."""
    sizes = sizes_kinds()[name](window=WINDOW)
    wide = {f.name: 24 for f in fields(sizes) if getattr(sizes, f.name) > 24}
    few = {"layers": 1} if hasattr(sizes, "layers") else {}
    return replace(sizes, **wide, **few)


@pytest.fixture(scope="module")
def tune(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    """A tune to learn, twice, and its beginning to be judged by."""
    folder = tmp_path_factory.mktemp("tune")
    for split, songs in (("train", [TUNE, TUNE[3:], HELD_OUT]), ("eval", [HELD_OUT])):
        with tf.io.TFRecordWriter(str(folder / f"{split}-00000-of-00001.tfrecord")) as writer:
            for number, song in enumerate(songs):
                writer.write(write_tokens(f"{number}.mid".encode(), np.array(song), 5.0))
    vocabulary = Vocabulary(((), *((60 + step,) for step in range(V - 1))), 5.0)
    (folder / "vocabulary.json").write_text(vocabulary.to_json())
    return Examples(folder, "")


def windows() -> np.ndarray[Any, np.dtype[np.int32]]:
    """The windows of the held-out song, int32 [n, WINDOW]."""
    padded = np.pad(np.array(HELD_OUT, np.int32), (WINDOW, 0))
    return np.lib.stride_tricks.sliding_window_view(padded[:-1], WINDOW).copy()


@pytest.fixture(scope="module", params=[*network_names(), "elsewhere"])
def trained(
    request: pytest.FixtureRequest, tune: Examples, tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    """A network, trained and asked the way TensorFlow Serving asks: C++ loader and Session."""
    parameters = TrainerParameters(
        network=request.param,
        architecture=small(request.param),
        epochs=10,
        batch=16,
        learning_rate=0.01,
        patience=10,
        schedule=ScheduleParameters("constant", warmup_steps=0),
        warm_start=WarmStartParameters(0.2),
        regularisation=RegularisationParameters(noise=0),
        mixture=MixtureParameters(mix="network"),
        settings=ServedSettings(sampling_seconds=0),
    )
    folder = tmp_path_factory.mktemp(request.param) / "model"
    folder.mkdir()
    execute(TrainerInputs(tune), parameters, Context(folder, folder.parent, SilentProgress()))
    model = TrainedModel(folder, "")
    spoiled = windows()
    spoiled[2, 3], spoiled[4, WINDOW - 1] = V, -1
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        meta = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(model.saved_model))

        def ask(signature: str, **inputs: Any) -> dict[str, Any]:
            definition = meta.signature_def[signature]
            feeds = {definition.inputs[key].name: value for key, value in inputs.items()}
            fetches = {key: each.name for key, each in definition.outputs.items()}
            found: dict[str, Any] = session.run(fetches, feeds)
            return found

        answers = {
            "good": ask("serving_default", tokens=windows())["probabilities"],
            "spoiled": ask("serving_default", tokens=spoiled)["probabilities"],
            "song": ask(
                "generate",
                tokens=windows()[20:21],
                steps=np.array([9], np.int32),
                temperature=np.array([0], np.float32),
                top_k=np.array([0], np.int32),
                top_p=np.array([1], np.float32),
                seed=np.array([1], np.int64),
            )["tokens"],
        }
    return Trained(parameters, model, answers)


def test_it_learns_a_tune_that_repeats(trained: Trained) -> None:
    losses = [epoch["train_loss"] for epoch in trained.model.history()["epochs"]]
    # Six frames and the rest, told apart by what came before: far below ln 7 when it is learned.
    assert losses[-1] < 0.5
    assert losses[-1] < losses[0] / 2


def test_what_is_served_is_what_was_judged(trained: Trained) -> None:
    probabilities = trained.answers["good"]
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (len(HELD_OUT), V)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    history = trained.model.history()
    judged = history["epochs"][history["best_epoch"] - 1]["cut_loss"]
    loss = -np.log(probabilities[np.arange(len(HELD_OUT)), HELD_OUT]).mean()
    assert loss == pytest.approx(judged, rel=1e-3)
    assert judged < 0.5


def test_a_token_out_of_range_spoils_its_own_row_alone(trained: Trained) -> None:
    good, spoiled = trained.answers["good"], trained.answers["spoiled"]
    assert np.flatnonzero(np.isnan(spoiled).all(axis=1)).tolist() == [2, 4]
    others = np.delete(np.arange(len(good)), [2, 4])
    np.testing.assert_allclose(spoiled[others], good[others], atol=1e-6)


def test_generate_goes_on_with_the_tune(trained: Trained) -> None:
    assert trained.answers["song"].tolist() == [HELD_OUT[20:29]]


def test_a_stock_server_on_any_machine_can_run_it(trained: Trained) -> None:
    saved = saved_model_pb2.SavedModel.FromString(
        (trained.model.saved_model / "saved_model.pb").read_bytes()
    )
    (graph,) = (meta.graph_def for meta in saved.meta_graphs)
    called = [
        function
        for function in graph.library.function
        if function.attr.get("api_preferred_device", None) is None
        or function.attr["api_preferred_device"].s != b"GPU"
    ]
    nodes = [*graph.node, *(node for each in called for node in each.node_def)]
    operations = {node.op for node in nodes}
    assert not [name for name in operations if "PyFunc" in name or name.startswith("_")]
    assert not [name for name in operations if "Cudnn" in name]
    assert not [each for each in called if each.attr["_XlaMustCompile"].b]


def test_training_goes_on_from_its_arrays_as_if_it_had_not_stopped(trained: Trained) -> None:
    parameters = trained.parameters
    learner = Learner(
        load_network(parameters.network),
        V,
        parameters.architecture,
        tf.distribute.get_strategy(),
        seed=1,
        batch=16,
        eval_batch=16,
    )
    table = WindowTable.from_songs([np.array(TUNE, np.int32)], WINDOW, (0,))
    batches = list(learner.batches(table, Shuffle(1, 0), 0).take(6))

    def losses(first: int, last: int) -> list[float]:
        return [float(learner.train(*batch, tf.constant(16.0))) for batch in batches[first:last]]

    losses(0, 3)
    stopped = learner.arrays()
    expected = losses(3, 6)
    losses(0, 6)
    learner.set_arrays(stopped)
    assert losses(3, 6) == pytest.approx(expected, rel=1e-5)


def test_the_last_of_every_position_is_what_the_model_says_of_the_window(
    trained: Trained,
) -> None:
    network = load_network(trained.parameters.network)
    model = network.build(V, trained.parameters.architecture)
    every_position = network.every_position(model)
    if every_position is None:
        return
    logits = every_position(tf.constant(windows()), training=False)
    assert logits.shape == (len(HELD_OUT), WINDOW, V)
    expected = model(windows(), training=False)
    np.testing.assert_allclose(tf.nn.softmax(logits[:, -1]), expected, atol=1e-6)


def test_a_folder_is_all_that_a_network_needs() -> None:
    assert network_names() == ("causal", "elsewhere", "paper")
    assert issubclass(sizes_kinds()["elsewhere"], NetworkSizes)
    (units,) = (
        each
        for each in parameter_fields(TrainerParameters)
        if each.name == "architecture.units" and each.when == ("network", "elsewhere")
    )
    assert (units.default, units.declared.option) == (128, "--units")
    assert TrainerParameters(network="elsewhere").architecture.units == 128
    modules = network_modules("elsewhere")
    assert modules == tuple(f"{networks.__name__}.elsewhere.{m}" for m in ("network", "sizes"))


def test_a_folder_of_shared_code_is_no_network() -> None:
    assert "gru" not in network_names()


@pytest.mark.parametrize("name", ["gru", "nothing"])
def test_an_unknown_network_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(ParameterError, match=f"causal, elsewhere, paper, not '{name}'"):
        load_network(name)
    with pytest.raises(ParameterError, match="network must be one of"):
        TrainerParameters(network=name)


def test_networks_and_their_sizes_are_found_without_numpy_and_tensorflow() -> None:
    program = """
import sys
from tunesmith.components.networks.network import load_network, network_names, sizes_kinds

assert network_names() and sizes_kinds()
for name in network_names():
    load_network(name)
print([name for name in ("numpy", "tensorflow", "keras") if name in sys.modules])
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
