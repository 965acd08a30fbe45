"""A mixture is a distribution, the sum that it is defined as, and served as it was fitted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.protobuf import saved_model_pb2

from tunesmith.components.mixture.counting import ContextTable
from tunesmith.components.mixture.evidence import (
    CONTEXTS,
    MATCHES,
    WINDOW_FEATURES,
    find_evidence,
    probabilities_of,
)
from tunesmith.components.mixture.fitting import prepare_mixture
from tunesmith.components.mixture.gate import Gate, unfitted_blend
from tunesmith.components.mixture.mixture import PARTS, Counted, CountedParts, Mixture
from tunesmith.components.mixture.occurrences import TrainingSongs, find_contexts
from tunesmith.components.records.eval_windows import EvalWindows
from tunesmith.components.trainer.component import ServedSettings
from tunesmith.components.trainer.export.saved_model import export_model
from tunesmith.music import Vocabulary

SIZE, WINDOW, RESTS = 16, 20, (0,)
VOCABULARY = Vocabulary(((), *((60 + step,) for step in range(SIZE - 1))), 5.0)
Rows = NDArray[np.float32]


class Network(tf.Module):
    """Knows from the last token what follows, a little; the rest is as probable as any other."""

    def __init__(self, size: int) -> None:
        super().__init__()
        rows = np.full((size, size), 0.5 / size)
        rows[np.arange(size), (np.arange(size) + 1) % size] += 0.5
        self.rows = tf.Variable(rows.astype(np.float32))

    def __call__(self, tokens: Any) -> Any:
        return tf.gather(self.rows, tokens[:, -1])


def bars(seed: int, count: int = 9) -> NDArray[np.int64]:
    """Return a song that window and training songs know something of, int64 [6 x count].

    What all songs have in common is that 1, 2 or 3 is followed by 4, 5 or 6, and that each bar ends
    with 7 and one more frame. That frame is the song's own: the window tells it, since contexts
    do not reach a bar back.
    """
    random = np.random.default_rng(seed)
    first, second = random.integers(1, 4, (2, count))
    ends = np.full(count, 7), np.full(count, random.integers(8, SIZE))
    return np.stack([first, first + 3, second, second + 3, *ends], axis=1).ravel()


def training_songs(
    songs: Sequence[NDArray[Any]], window: int, rests: Sequence[int], judged: int = 1
) -> TrainingSongs:
    held = EvalWindows.of(songs, window, rests)
    groups = np.repeat(np.arange(len(songs)), [len(song) for song in songs])
    every = np.arange(len(held))
    return TrainingSongs(held, groups, every, every[groups < judged])


def names_of(size: int) -> tuple[str, ...]:
    """Return the names of a rest and of pitches, V of them."""
    return Vocabulary(((), *((60 + step,) for step in range(size - 1))), 5.0).names


def fitted(
    songs: Sequence[NDArray[Any]],
    size: int,
    rests: Sequence[int] = RESTS,
    *,
    window: int = WINDOW,
    judged: int = 1,
    maximum_bytes: int = 2**20,
    network: Any = None,
) -> Mixture:
    """Return a mixture; `judged` songs are held out for validation."""
    prepared = prepare_mixture(
        training_songs(songs, window, rests, judged),
        names_of(size),
        rests,
        maximum_bytes=maximum_bytes,
        seed=0,
    )
    return prepared.mixed_with(network or Network(size), np.arange(size, dtype=np.int32), 0)


@pytest.fixture(scope="module")
def mixture() -> Mixture:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tunesmith.components.mixture.gate.STEPS", 300)
        return fitted([bars(seed) for seed in range(8)], SIZE)


def some_windows(
    size: int, window: int, rests: Sequence[int] = RESTS, count: int = 24
) -> NDArray[np.int32]:
    """Return random windows, padded ones, ones that repeat themselves, and rests alone."""
    random = np.random.default_rng(size)
    rows = random.integers(0, size, (count, window))
    for number in range(count // 2):
        rows[number, : number * window // (count // 2)] = rests[0]
    rows[-4] = rests[0]
    rows[-3] = np.resize(rests, window)
    rows[-2] = np.resize(random.integers(0, size, 3), window)
    rows[-1] = size - 1
    return rows.astype(np.int32)


def assert_distributions(rows: Any, shape: tuple[int, int]) -> None:
    rows = np.asarray(rows)
    assert rows.shape == shape
    assert rows.dtype == np.float32
    assert (rows > 0).all()
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-5)


def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fit for a moment: only what holds for any gate is tested."""
    monkeypatch.setattr("tunesmith.components.mixture.gate.STEPS", 20)


# Distributions


def test_a_row_is_a_distribution_whatever_the_window(mixture: Mixture) -> None:
    windows = np.concatenate([some_windows(SIZE, WINDOW), [bars(3)[:WINDOW]]]).astype(np.int32)
    assert_distributions(mixture(tf.constant(windows)), (len(windows), SIZE))
    for rows in mixture.parts(tf.constant(windows)).values():
        np.testing.assert_allclose(np.asarray(rows).sum(axis=1), 1, atol=1e-5)
        assert (np.asarray(rows) > 0).all()


@pytest.mark.parametrize(
    ("size", "window", "rests"),
    [(1, 8, (0,)), (2, 8, (0,)), (9, 3, (0,)), (9, 1, (0,)), (9, 9, (0, 5))],
    ids=["rests alone", "two tokens", "three frames", "one frame", "two parts"],
)
@pytest.mark.parametrize("maximum_bytes", [0, 500, 2**20])
def test_small_models_are_distributions(
    size: int, window: int, rests: tuple[int, ...], maximum_bytes: int
) -> None:
    random = np.random.default_rng(5)
    songs = [random.integers(0, size, 12) for _ in range(3)]
    table = table_of(songs, size, window, rests, maximum_bytes)
    small = Mixture(
        Network(size), Counted(table, random_gate(size), rests), unfitted_blend(), window
    )
    windows = some_windows(size, window, rests)
    assert_distributions(small(tf.constant(windows)), (len(windows), size))
    for rows in small.parts(tf.constant(windows)).values():
        np.testing.assert_allclose(np.asarray(rows).sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "window", "judged"),
    [(1, 8, 1), (9, 1, 0)],
    ids=["rests alone", "a song and windows of one frame, none held out"],
)
def test_the_smallest_trainings_are_fitted(
    monkeypatch: pytest.MonkeyPatch, size: int, window: int, judged: int
) -> None:
    quickly(monkeypatch)
    songs = [np.random.default_rng(5).integers(0, size, 12) for _ in range(1 + judged)]
    small = fitted(songs, size, window=window, judged=judged, maximum_bytes=0)
    windows = some_windows(size, window)
    assert_distributions(small(tf.constant(windows)), (len(windows), size))


def test_rows_do_not_depend_on_the_batch(mixture: Mixture) -> None:
    windows = some_windows(SIZE, WINDOW)
    together = mixture(tf.constant(windows)).numpy()
    alone = np.concatenate([mixture(tf.constant(each[None])).numpy() for each in windows])
    np.testing.assert_allclose(alone, together, atol=1e-6)


# The sum


def random_gate(size: int) -> Gate:
    """Return a gate that believes each part now more, now less."""
    random = np.random.default_rng(size)
    features, hidden = 2 * len(CONTEXTS) + WINDOW_FEATURES, 4
    shapes = ((features, hidden), (hidden,), (hidden, len(PARTS)), (len(PARTS),))
    weights = [random.normal(size=shape) for shape in (*shapes, (features, len(PARTS)))]
    mean, scale = np.zeros(features, np.float32), np.full(features, 4, np.float32)
    return Gate(mean, scale, [each.astype(np.float32) for each in weights])


def table_of(
    songs: Sequence[NDArray[Any]],
    size: int,
    window: int,
    rests: Sequence[int],
    maximum_bytes: int,
) -> ContextTable:
    some = training_songs(songs, window, rests)
    occurred = np.bincount(some.held.targets, minlength=size)
    return ContextTable.count(occurred, find_contexts(some, names_of(size), rests), maximum_bytes)


def distributions(
    songs: Sequence[NDArray[Any]], windows: NDArray[np.int32], size: int, rests: Sequence[int]
) -> NDArray[np.float64]:
    """Return what each part says, float64 [n, parts, V], 0 where it says nothing."""
    some = training_songs(songs, windows.shape[1], rests)
    found = find_contexts(some, names_of(size), rests)
    evidence = find_evidence(tf.constant(windows), rests)
    keys = np.asarray(evidence.keys)
    result = np.zeros((len(windows), len(PARTS), size))
    for column, context in enumerate(found):
        for row in range(len(windows)):
            followers = context.targets[context.keys == keys[row, column]]
            result[row, column] = np.bincount(followers, minlength=size)
    for target in range(size):
        said = probabilities_of(evidence, tf.fill([len(windows)], target))
        result[:, len(CONTEXTS) : len(CONTEXTS) + len(MATCHES), target] = said
    repeat, unigram, uniform = (PARTS.index(name) for name in ("repeat", "unigram", "uniform"))
    sounds = ~np.isin(windows, rests).all(axis=1)
    result[sounds, repeat, windows[sounds, -1]] = 1
    result[:, unigram] = np.bincount(some.held.targets, minlength=size) + 0.5
    result[:, uniform] = 1
    return result / np.maximum(result.sum(axis=2, keepdims=True), 1e-30)


@pytest.mark.parametrize("rests", [(0,), (0, 8)], ids=["one part", "two parts"])
def test_the_counted_parts_are_mixed_by_their_shares(rests: tuple[int, ...]) -> None:
    songs = [bars(seed, 5) for seed in range(4)]
    held = EvalWindows.of(songs, WINDOW, rests)
    table = table_of(songs, SIZE, WINDOW, rests, 2**20)
    parts = CountedParts(Counted(table, random_gate(1), rests))
    # Some are known, some half, and some are not.
    windows = np.concatenate([held.windows(slice(0, 60, 7)), some_windows(SIZE, WINDOW, rests)])
    windows[3, :11] = 5
    found = parts.find(tf.constant(windows))
    share = parts.shares(found).numpy()
    said = distributions(songs, windows, SIZE, rests)
    # A part has a share where it says something, and only there.
    np.testing.assert_array_equal(share > 0, said.sum(axis=2) > 0)
    np.testing.assert_allclose(share.sum(axis=1), 1, atol=1e-5)
    expected = (share[:, :, None] * said).sum(axis=1)
    mixed = parts.mixed(found, tf.constant(share)).numpy()
    np.testing.assert_allclose(mixed, expected, atol=1e-5)
    # The blend of the network with it.
    network = Network(SIZE)
    mixture = Mixture(
        network, Counted(table, random_gate(1), rests), unfitted_blend(), windows.shape[1]
    )
    blended = 0.2 * network(tf.constant(windows)).numpy() + 0.8 * expected
    np.testing.assert_allclose(mixture(tf.constant(windows)), blended, atol=1e-5)


def test_the_parts_are_what_was_counted_where(mixture: Mixture) -> None:
    # Neither the network nor the training songs know that 3 follows 3, but the window does.
    window = np.resize([9, 3, 3, 9, 10], WINDOW)[None].astype(np.int32)
    window[0, -2:] = 9, 3
    parts = {name: rows.numpy()[0] for name, rows in mixture.parts(tf.constant(window)).items()}
    assert set(parts) == {"network", "training_songs", "window"}
    assert parts["network"].argmax() == 4
    assert parts["training_songs"].argmax() == 6
    assert parts["window"].argmax() == 3
    np.testing.assert_allclose(parts["network"], Network(SIZE)(window).numpy()[0])


def test_a_mixture_foresees_a_song_better_than_any_of_its_parts(mixture: Mixture) -> None:
    held = EvalWindows.of([bars(seed) for seed in (50, 51, 52)], WINDOW, RESTS)
    windows = tf.constant(held.windows(slice(None)))

    def nats(rows: Any) -> float:
        of_target = np.asarray(rows)[np.arange(len(held)), held.targets]
        return float(-np.log(of_target).mean())

    together = nats(mixture(windows))
    alone = {name: nats(rows) for name, rows in mixture.parts(windows).items()}
    assert together < min(alone.values()) - 0.3


def test_a_network_that_knows_the_songs_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunesmith.components.mixture.gate.STEPS", 200)

    class Knowing(tf.Module):
        """Knows what begins a bar: one step further than the last one did."""

        def __call__(self, tokens: Any) -> Any:
            begun = tf.one_hot(tokens[:, -6] % 3 + 1, SIZE)
            rows = tf.where(tokens[:, -2:-1] == 7, begun, tf.fill([1, SIZE], 1 / SIZE))
            return 0.99 * rows + 0.01 / SIZE

    songs = [bars(seed) for seed in range(6)]
    for song in songs:
        song[::6] = (song[0] + np.arange(9)) % 3 + 1
        song[1::6] = song[::6] + 3
    mixture = fitted(songs, SIZE, judged=3, network=Knowing())
    held = EvalWindows.of(songs[:1], WINDOW, RESTS)
    begins = np.arange(6, 54, 6)
    rows = mixture(tf.constant(held.windows(begins))).numpy()
    assert rows[np.arange(8), held.targets[begins]].mean() > 0.7


# Served


@pytest.fixture(scope="module")
def exported(mixture: Mixture, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("mixture") / "1"
    export_model(mixture, WINDOW, VOCABULARY, ServedSettings(), directory, [bars(0)])
    return directory


class Served:
    """A SavedModel as TensorFlow Serving runs it: the C++ loader, a Session, tensor names."""

    def __init__(self, directory: Path, session: tf.compat.v1.Session) -> None:
        self._session = session
        loaded = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(directory))
        self.signatures = loaded.signature_def

    def ask(self, name: str, **inputs: Any) -> dict[str, NDArray[Any]]:
        signature = self.signatures[name]
        feeds = {signature.inputs[key].name: value for key, value in inputs.items()}
        outputs = {key: tensor.name for key, tensor in signature.outputs.items()}
        answered: dict[str, NDArray[Any]] = self._session.run(outputs, feeds)
        return answered


@pytest.fixture(scope="module")
def served(exported: Path) -> Iterator[Served]:
    session = tf.compat.v1.Session(graph=tf.Graph())
    yield Served(exported, session)
    session.close()


def test_a_session_answers_what_was_fitted(mixture: Mixture, served: Served) -> None:
    windows = some_windows(SIZE, WINDOW)
    rows = served.ask("serving_default", tokens=windows)["probabilities"]
    np.testing.assert_allclose(rows, mixture(tf.constant(windows)), atol=1e-6)
    parts = served.ask("parts", tokens=windows)
    expected = mixture.parts(tf.constant(windows))
    assert parts.keys() == expected.keys() == {"network", "training_songs", "window"}
    for name, each in parts.items():
        assert_distributions(each, (len(windows), SIZE))
        np.testing.assert_allclose(each, expected[name], atol=1e-6)
    shapes = [
        [dim.size for dim in tensor.tensor_shape.dim]
        for tensor in served.signatures["parts"].outputs.values()
    ]
    assert shapes == [[-1, SIZE]] * 3


@pytest.mark.parametrize("signature", ["serving_default", "parts"])
def test_a_token_out_of_range_spoils_its_own_row_alone(served: Served, signature: str) -> None:
    windows = some_windows(SIZE, WINDOW)[:6]
    whole = served.ask(signature, tokens=windows)
    windows[1, 3], windows[4, -1] = SIZE, -1
    for name, rows in served.ask(signature, tokens=windows).items():
        assert np.isnan(rows).all(axis=1).tolist() == [False, True, False, False, True, False]
        good = [0, 2, 3, 5]
        np.testing.assert_allclose(rows[good], whole[name][good], atol=1e-6)


def test_songs_are_drawn_from_the_mixture(served: Served) -> None:
    starts = np.stack([np.zeros(WINDOW, np.int32), np.resize([1, 4, 2, 5, 7, 9], WINDOW)])
    starts = starts.astype(np.int32)
    steps = 30
    drawn = served.ask(
        "generate",
        tokens=starts,
        steps=np.array([steps, steps], np.int32),
        temperature=np.ones(2, np.float32),
        top_k=np.zeros(2, np.int32),
        top_p=np.ones(2, np.float32),
        seed=np.array([3, 4], np.int64),
    )
    for start, song, said in zip(starts, drawn["tokens"], drawn["log_probabilities"], strict=True):
        along = np.lib.stride_tricks.sliding_window_view(np.append(start, song), WINDOW)[:-1]
        rows = served.ask("serving_default", tokens=along.astype(np.int32))["probabilities"]
        np.testing.assert_allclose(said, np.log(rows[np.arange(steps), song]), atol=1e-4)
    # It goes on as the window does, which neither the network nor other songs do.
    after = drawn["tokens"][1][1:][drawn["tokens"][1][:-1] == 7]
    assert (after == 9).mean() > 0.7


def test_a_stock_server_can_run_every_operation(exported: Path) -> None:
    saved = saved_model_pb2.SavedModel.FromString((exported / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    nodes = [*graph.node, *(node for each in graph.library.function for node in each.node_def)]
    operations = {node.op for node in nodes}
    assert {"LowerBound", "RaggedRange"} <= operations
    assert not [name for name in operations if "PyFunc" in name or name.startswith("_")]


def test_the_tables_are_where_a_graph_reads_them_on_the_host(exported: Path) -> None:
    reader = tf.train.load_checkpoint(str(exported / "variables" / "variables"))
    names = reader.get_variable_to_dtype_map()
    integers = [name for name, dtype in names.items() if dtype == tf.int32]
    assert len(integers) == 4


def test_the_same_songs_and_seed_make_the_same_mixture(monkeypatch: pytest.MonkeyPatch) -> None:
    quickly(monkeypatch)
    windows = tf.constant(some_windows(SIZE, WINDOW))
    songs = [bars(seed, 4) for seed in range(3)]
    first, again = (fitted(songs, SIZE)(windows) for _ in range(2))
    np.testing.assert_allclose(first, again, atol=1e-6)
