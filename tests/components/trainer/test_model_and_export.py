"""The network, and the SavedModel as TensorFlow Serving runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

from tunesmith.components.networks.paper.keras_model import build_model
from tunesmith.components.networks.paper.network import NETWORK
from tunesmith.components.networks.paper.sizes import PaperSizes
from tunesmith.components.ngram.packing import pack_ngram
from tunesmith.components.sampling import RecommendedSampling
from tunesmith.components.trainer.component import ServedSettings
from tunesmith.components.trainer.export.saved_model import export_model
from tunesmith.music import CorpusSettings, Grid, TrackChoice, Vocabulary
from tunesmith.music.degeneration import LEAST_LONGEST_RUN, LEAST_REST_SHARE

CORPUS = CorpusSettings(
    TrackChoice("name", name="PIANO"), Grid(frames_per_beat=4, lowest=20), transpose=(-5, 6)
)
FRAMES = ((), *((pitch,) for pitch in range(20, 110)), (60, 64, 67))
VOCABULARY = Vocabulary(FRAMES, 5.0, CORPUS)
SONG = np.array([1, 2, 91, 1, 2, 3])

# Run in a process of its own that imports none of our code, the way TensorFlow Serving runs a
# model: the C++ loader, a Session, a signature's tensor names.
SESSION_PROGRAM = """
import json, sys
import numpy as np
import tensorflow as tf

directory, inputs, outputs = sys.argv[1:]
feeds = np.load(inputs)
answers = {}
with tf.compat.v1.Session(graph=tf.Graph()) as session:
    graph = tf.compat.v1.saved_model.loader.load(session, ["serve"], directory)
    for key in feeds.files:
        name, _ = key.split("-")
        signature = graph.signature_def[name]
        (fed,) = signature.inputs.values()
        for output, tensor in signature.outputs.items():
            value = session.run(tensor.name, {fed.name: feeds[key]})
            if value.dtype == object:
                value = np.array([each.decode("latin-1") for each in value])
            answers[f"{key}-{output}"] = value
        shapes = {k: [d.size for d in t.tensor_shape.dim] for k, t in signature.outputs.items()}
        answers[f"{key}-shapes"] = json.dumps([shapes, [d.size for d in fed.tensor_shape.dim]])
assert not [name for name in sys.modules if name.startswith("tunesmith")]
np.savez(outputs, **answers)
"""


@pytest.fixture(scope="module")
def network() -> Any:
    keras.utils.set_random_seed(3)
    return build_model(len(VOCABULARY), PaperSizes())


@pytest.fixture(scope="module")
def exported(network: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("export") / "1"
    settings = ServedSettings(program=5)
    forward = NETWORK.for_serving(network, len(VOCABULARY), PaperSizes())
    sampling = RecommendedSampling(0.9, 12, 0.95)
    export_model(forward, PaperSizes().window, VOCABULARY, settings, directory, [SONG], sampling)
    return directory


def tokens(batch: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    return np.random.default_rng(batch).integers(0, len(VOCABULARY), (batch, 50), dtype=np.int32)


@pytest.fixture(scope="module")
def answers(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The answers of every signature to batches of 1 and 7, keyed ``signature-batch-output``."""
    folder = tmp_path_factory.mktemp("session")
    ids = np.array([0, 1, 91, len(VOCABULARY), -1, 2, 3], dtype=np.int32)
    spoiled = tokens(7)
    spoiled[2, 10], spoiled[5, 49] = len(VOCABULARY), -1
    feeds = {"serving_default-1": tokens(1), "serving_default-7": tokens(7)}
    by_token = ("vocabulary", "settings", "drafter")
    feeds |= {f"{name}-{n}": ids[:n] for name in by_token for n in (1, 7)}
    feeds["serving_default-spoiled"] = spoiled
    np.savez(folder / "inputs.npz", **feeds)
    command = [exported, folder / "inputs.npz", folder / "outputs.npz"]
    subprocess.run([sys.executable, "-c", SESSION_PROGRAM, *map(str, command)], check=True)
    return dict(np.load(folder / "outputs.npz"))


def test_the_papers_architecture_has_819149_parameters() -> None:
    assert build_model(201, PaperSizes()).count_params() == 819_149


@pytest.mark.parametrize("batch", [1, 7])
def test_the_exported_forward_pass_is_the_networks(
    network: Any, answers: dict[str, Any], batch: int
) -> None:
    served = answers[f"serving_default-{batch}-probabilities"]
    assert served.dtype == np.float32
    assert served.shape == (batch, len(VOCABULARY))
    np.testing.assert_allclose(served, network(tokens(batch), training=False), atol=1e-5, rtol=0)
    np.testing.assert_allclose(served.sum(axis=1), 1, atol=1e-5)


def test_a_token_out_of_range_spoils_its_own_row_alone(
    network: Any, answers: dict[str, Any]
) -> None:
    served = answers["serving_default-spoiled-probabilities"]
    assert np.isnan(served).all(axis=1).tolist() == [False, False, True, False, False, True, False]
    good = [0, 1, 3, 4, 6]
    expected = np.asarray(network(tokens(7), training=False))
    np.testing.assert_allclose(served[good], expected[good], atol=1e-5)


def test_the_vocabulary_names_every_token(answers: dict[str, Any]) -> None:
    assert answers["vocabulary-1-frames"].tolist() == ["e"]
    assert answers["vocabulary-7-frames"].tolist() == ["e", "20", "60,64,67", "", "", "21", "22"]


def test_the_drafter_answers_the_packed_n_gram_for_token_0(answers: dict[str, Any]) -> None:
    assert answers["drafter-7-format"].tolist() == [2] * 7
    packed = pack_ngram([SONG], len(VOCABULARY), 2**20, (0,))
    assert packed is not None
    for name, expected in packed._asdict().items():
        served, *others = answers[f"drafter-7-{name}"].tolist()
        assert others == [""] * 6
        # numpy leaves out zeros at the end of a text.
        assert served.encode("latin-1") == expected.rstrip(b"\0")
        assert answers[f"drafter-1-{name}"].tolist() == [served]


@pytest.mark.parametrize(
    ("songs", "settings"),
    [([], ServedSettings()), ([SONG], ServedSettings(drafter_bytes=0))],
    ids=["no songs", "no bytes"],
)
def test_a_model_may_have_no_drafter(
    songs: list[Any], settings: ServedSettings, tmp_path: Path
) -> None:
    small = PaperSizes(embedding=2, units=2, layers=1, dense=2, window=2)
    network = build_model(len(VOCABULARY), small)
    forward = NETWORK.for_serving(network, len(VOCABULARY), small)
    export_model(forward, small.window, VOCABULARY, settings, tmp_path / "1", songs)
    saved = saved_model_pb2.SavedModel.FromString((tmp_path / "1/saved_model.pb").read_bytes())
    assert "drafter" not in saved.meta_graphs[0].signature_def


@pytest.mark.parametrize("batch", [1, 7])
def test_the_settings_come_once_a_row(answers: dict[str, Any], batch: int) -> None:
    assert answers[f"settings-{batch}-frames_per_second"].tolist() == [5.0] * batch
    assert answers[f"settings-{batch}-track"].tolist() == ["name:PIANO"] * batch
    numbers = {
        "program": 5,
        "frames_per_beat": 4,
        "keep_short_notes": 0,
        "lowest_pitch": 20,
        "highest_pitch": 127,
        "transpose_from": -5,
        "transpose_to": 6,
    }
    for name, value in numbers.items():
        assert answers[f"settings-{batch}-{name}"].dtype == np.int32
        assert answers[f"settings-{batch}-{name}"].tolist() == [value] * batch


def test_the_recommended_sampling_and_the_limits_are_settings(answers: dict[str, Any]) -> None:
    served = {name: answers[f"settings-7-{name}"] for name in ("temperature", "top_k", "top_p")}
    assert [each.dtype for each in served.values()] == [np.float32, np.int32, np.float32]
    np.testing.assert_allclose(served["temperature"], [0.9] * 7)
    assert served["top_k"].tolist() == [12] * 7
    np.testing.assert_allclose(served["top_p"], [0.95] * 7)
    # The only song has no rest and changes in every frame.
    np.testing.assert_allclose(answers["settings-7-rest_share_limit"], [LEAST_REST_SHARE] * 7)
    np.testing.assert_allclose(answers["settings-7-longest_run_limit"], [LEAST_LONGEST_RUN] * 7)


def test_without_songs_a_model_has_no_limits_and_its_own_distribution(model_dir: Path) -> None:
    signature = tf.saved_model.load(str(model_dir / "1")).signatures["settings"]
    answered = signature(token_ids=tf.zeros(1, tf.int32))
    assert "rest_share_limit" not in answered
    assert "longest_run_limit" not in answered
    plain = {name: float(answered[name][0]) for name in ("temperature", "top_k", "top_p")}
    assert plain == {"temperature": 1, "top_k": 0, "top_p": 1}


def test_window_length_and_vocabulary_size_can_be_read_from_the_signature(
    answers: dict[str, Any],
) -> None:
    outputs, given = json.loads(str(answers["serving_default-1-shapes"]))
    assert given == [-1, 50]
    assert outputs == {"probabilities": [-1, len(VOCABULARY)]}
    for name in ("vocabulary", "settings", "drafter"):
        outputs, given = json.loads(str(answers[f"{name}-1-shapes"]))
        assert given == [-1]
        assert all(shape == [-1] for shape in outputs.values())


def test_the_warm_up_requests_are_tensorflow_servings(exported: Path) -> None:
    path = exported / "assets.extra" / "tf_serving_warmup_requests"
    asked = []
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        assert request.model_spec.name == "tunesmith"
        (tensor,) = request.inputs.values()
        value = tf.make_ndarray(tensor)
        assert value.dtype == np.int32
        asked.append((request.model_spec.signature_name, value.shape))
    assert asked == [
        ("serving_default", (1, 50)),
        ("serving_default", (16, 50)),
        ("vocabulary", (1,)),
        ("settings", (1,)),
        ("drafter", (1,)),
    ]


def test_a_stock_server_can_run_every_operation(exported: Path) -> None:
    saved = saved_model_pb2.SavedModel.FromString((exported / "saved_model.pb").read_bytes())
    (graph,) = (meta.graph_def for meta in saved.meta_graphs)
    nodes = [*graph.node, *(node for each in graph.library.function for node in each.node_def)]
    operations = {node.op for node in nodes}
    assert "While" in operations or "StatelessWhile" in operations
    assert not [name for name in operations if "PyFunc" in name or name.startswith("_")]
    compiled = [each for each in graph.library.function if each.attr["_XlaMustCompile"].b]
    assert not compiled
