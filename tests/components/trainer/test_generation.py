"""The ``generate`` signature against the client's sampling loop, through the C++ loader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tunesmith.client.sampling import Sampling
from tunesmith.components.networks.paper.keras_model import build_model
from tunesmith.components.networks.paper.network import NETWORK
from tunesmith.components.networks.paper.sizes import PaperSizes
from tunesmith.components.trainer.component import ServedSettings
from tunesmith.components.trainer.export.generate import MAXIMUM_STEPS, distribution, draw
from tunesmith.components.trainer.export.saved_model import export_model
from tunesmith.music import Vocabulary

VOCABULARY = Vocabulary(((), *((pitch,) for pitch in range(40, 51))), 5.0)
V = len(VOCABULARY)
ARCHITECTURE = PaperSizes(embedding=6, units=8, layers=2, dense=5, window=4)

SAMPLINGS = [
    Sampling(),
    Sampling(temperature=0.7, top_k=5),
    Sampling(temperature=1.4, top_p=0.8),
    Sampling(temperature=0.9, top_k=6, top_p=0.75),
    Sampling(temperature=0),
    Sampling(top_k=V + 5, top_p=1.0),
]

Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Call a signature of an exported network in a Session."""
    network = build_model(V, ARCHITECTURE, portable=True)
    random = np.random.default_rng(5)
    network.set_weights([random.normal(0, 0.8, w.shape) for w in network.get_weights()])
    directory = tmp_path_factory.mktemp("generation") / "1"
    forward = NETWORK.for_serving(network, len(VOCABULARY), ARCHITECTURE)
    export_model(forward, ARCHITECTURE.window, VOCABULARY, ServedSettings(), Path(directory))
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        meta = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(directory))

        def call(name: str, **inputs: Any) -> dict[str, Any]:
            signature = meta.signature_def[name]
            feeds = {signature.inputs[key].name: value for key, value in inputs.items()}
            outputs = {key: each.name for key, each in signature.outputs.items()}
            answer: dict[str, Any] = session.run(outputs, feeds)
            return answer

        yield call


def rows(batch: int, **changes: Any) -> dict[str, Any]:
    """Inputs of ``generate``: a row each, `changes` as a value for all or one for each."""
    values = {"steps": 3, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": np.arange(batch)}
    kinds = {"steps": "i4", "temperature": "f4", "top_k": "i4", "top_p": "f4", "seed": "i8"}
    values |= changes
    start = np.tile(np.array([0, 3, 7, 1], dtype=np.int32), (batch, 1))
    tokens = np.asarray(values.pop("tokens", start), dtype=np.int32)
    return {"tokens": tokens} | {
        key: np.broadcast_to(np.asarray(value, dtype=kinds[key]), (batch,))
        for key, value in values.items()
    }


def asked(sampling: Sampling) -> dict[str, Any]:
    return {
        "temperature": sampling.temperature,
        "top_k": sampling.top_k or 0,
        "top_p": 1.0 if sampling.top_p is None else sampling.top_p,
    }


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_the_filters_are_the_clients_ties_included(sampling: Sampling) -> None:
    random = np.random.default_rng(1)
    probabilities = random.dirichlet(np.full(V, 0.7), 20).astype(np.float32)
    probabilities[0] = 1 / V
    probabilities[1, 2:5] = probabilities[1, 6]
    options = {key: np.full(20, value) for key, value in asked(sampling).items()}
    falling, order = distribution(
        probabilities,
        options["temperature"].astype("f4"),
        options["top_k"].astype("i4"),
        options["top_p"].astype("f4"),
    )
    filtered = np.zeros(probabilities.shape)
    np.put_along_axis(filtered, np.asarray(order), np.asarray(falling), axis=1)
    np.testing.assert_allclose(filtered, sampling.distribution(probabilities), atol=1e-6)


def test_a_draw_inverts_the_cumulative_distribution() -> None:
    falling = np.array([[0.5, 0.3, 0.2, 0.0]] * 5)
    order = np.array([[7, 2, 9, 4]] * 5, dtype=np.int32)
    uniforms = np.array([0.0, 0.49, 0.5, 0.8, np.nextafter(1, 0)])
    assert draw(falling, order, uniforms).numpy().tolist() == [7, 7, 2, 9, 9]


@pytest.mark.parametrize("sampling", [SAMPLINGS[0], SAMPLINGS[3]])
def test_tokens_follow_the_clients_distribution(run: Run, sampling: Sampling) -> None:
    count = 3_000
    answer = run("generate", **rows(count, **asked(sampling), steps=2))
    start = rows(1)["tokens"]
    expected = sampling.distribution(run("serving_default", tokens=start)["probabilities"])[0]
    seen = np.bincount(answer["tokens"][:, 0], minlength=V) / count
    # Five standard deviations of a share drawn `count` times.
    assert (np.abs(seen - expected) <= 5 * np.sqrt(expected * (1 - expected) / count) + 1e-9).all()
    # And the second step follows from what the first one drew.
    first = int(answer["tokens"][0, 0])
    after = np.append(start[0, 1:], first)[np.newaxis].astype(np.int32)
    expected = sampling.distribution(run("serving_default", tokens=after)["probabilities"])[0]
    second = answer["tokens"][answer["tokens"][:, 0] == first, 1]
    seen = np.bincount(second, minlength=V) / len(second)
    spread = np.sqrt(expected * (1 - expected) / len(second))
    assert (np.abs(seen - expected) <= 5 * spread + 1e-9).all()


def test_a_row_depends_on_its_own_seed_and_not_on_its_neighbours(run: Run) -> None:
    together = run("generate", **rows(5, steps=[9, 2, 30, 9, 0], seed=[4, 5, 6, 4, -7]))
    alone = run("generate", **rows(1, steps=9, seed=4))
    np.testing.assert_array_equal(together["tokens"][0, :9], alone["tokens"][0])
    np.testing.assert_array_equal(together["tokens"][0], together["tokens"][3])
    assert together["tokens"][0, :9].tolist() != together["tokens"][2, :9].tolist()


def test_rows_are_padded_after_their_last_step(run: Run) -> None:
    answer = run("generate", **rows(3, steps=[2, 0, 5]))
    assert answer["tokens"].dtype == np.int32
    assert answer["tokens"].shape == answer["log_probabilities"].shape == (3, 5)
    assert ((answer["tokens"] >= 0).sum(axis=1) == [2, 0, 5]).all()
    assert (answer["tokens"][0, 2:] == -1).all()
    assert (answer["log_probabilities"][0, 2:] == 0).all()


def test_log_probabilities_are_the_networks_own(run: Run) -> None:
    inputs = rows(4, steps=1, temperature=0.5, top_k=3)
    answer = run("generate", **inputs)
    own = run("serving_default", tokens=inputs["tokens"])["probabilities"]
    chosen = np.take_along_axis(own, answer["tokens"], axis=1)
    np.testing.assert_allclose(answer["log_probabilities"], np.log(chosen), atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        {"tokens": [[0, 3, 7, 1], [0, V, 7, 1], [0, 3, 7, 1]]},
        {"tokens": [[0, 3, 7, 1], [-1, 3, 7, 1], [0, 3, 7, 1]]},
        {"steps": [3, MAXIMUM_STEPS + 1, 3]},
        {"steps": [3, -1, 3]},
        {"temperature": [1, -0.5, 1]},
        {"temperature": [1, np.nan, 1]},
        {"top_k": [0, -1, 0]},
        {"top_p": [1, 0, 1]},
        {"top_p": [1, 1.5, 1]},
    ],
)
def test_an_input_out_of_range_spoils_its_own_row_alone(run: Run, change: dict[str, Any]) -> None:
    spoilt = run("generate", **rows(3, **change))["tokens"]
    good = run("generate", **rows(3))["tokens"]
    assert (spoilt[1] == -1).all()
    np.testing.assert_array_equal(spoilt[[0, 2]], good[[0, 2]])


def test_an_empty_batch_is_answered(run: Run) -> None:
    assert run("generate", **rows(0))["tokens"].shape == (0, 0)
    assert run("serving_default", tokens=rows(0)["tokens"])["probabilities"].shape == (0, V)
