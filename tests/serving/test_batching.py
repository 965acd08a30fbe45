"""Requests that are computed together: each gets what it would have got alone."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from tunesmith.serving import EmbeddedServer, ServerOptions
from tunesmith.serving.batching import batchable
from tunesmith.serving.batching_parameters import BatchingParameters, read_parameters
from tunesmith.serving.errors import ConfigInvalid
from tunesmith.serving.runtime import tf
from tunesmith.serving.servable import Servable
from tunesmith.serving.status import RequestError

WINDOW = 50


class Counting(tf.Module):
    """Answers with how many rows were computed together, so that batches can be seen.

    ``words`` looks up a table, ``uneven`` has an output as wide as its longest row, ``free`` takes
    rows of any length.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seven = tf.Variable(7)
        keys = tf.constant([1, 2], tf.int64)
        self.table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(keys, tf.constant(["one", "two"])), "many"
        )

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "x")])
    def serving_default(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        # The more rows, the longer, so that requests gather behind a large one.
        busy = tf.reduce_sum(tf.linalg.matmul(tf.ones([200, 200]), tf.ones([200, 200])))
        same = tf.fill(tf.shape(x), tf.size(x))
        return {"sevenfold": x * self.seven + tf.cast(busy * 0.0, tf.int32), "rows": same}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, "x")])
    def words(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"word": self.table.lookup(x)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "x")])
    def uneven(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"range": tf.tile(tf.range(tf.reduce_max(x))[tf.newaxis], [tf.size(x), 1])}

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32, "x")])
    def free(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"sum": tf.reduce_sum(x, axis=1)}

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.int32, "x"), tf.TensorSpec([None], tf.int32, "y")]
    )
    def division(self, x: tf.Tensor, y: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"quotient": x // y}


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("counting") / "1"
    module = Counting()
    names = ("serving_default", "words", "uneven", "free", "division")
    signatures = {name: getattr(module, name) for name in names}
    tf.saved_model.save(module, str(path), signatures=signatures)
    return path


@pytest.fixture
def load(counting: Path) -> Iterator[Callable[..., Servable]]:
    """``load(**parameters)`` is a servable that batches so."""
    loaded: list[Servable] = []

    def make(**parameters: Any) -> Servable:
        batching = BatchingParameters(**parameters)
        loaded.append(Servable(1, counting, inter_op=2, intra_op=1, batching=batching))
        return loaded[-1]

    yield make
    for servable in loaded:
        servable.close()


def ask(servable: Servable, signature: str = "serving_default", **inputs: Any) -> dict[str, Any]:
    outputs = list(servable.signatures[signature].outputs)
    dtype = np.int64 if signature == "words" else np.int32
    arrays = {name: np.asarray(value, dtype) for name, value in inputs.items()}
    return servable.run(signature, arrays, outputs)


def side_by_side(calls: list[Callable[[], Any]]) -> list[Any]:
    """Make every call at the same time; an exception is returned as a result."""
    together = threading.Barrier(len(calls))

    def call(each: Callable[[], Any]) -> Any:
        together.wait()
        try:
            return each()
        except RequestError as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))


# A second is long enough for threads to meet, and a full batch does not wait for its end.
GATHERING = {
    "max_batch_size": 8,
    "batch_timeout_micros": 1_000_000,
    "num_batch_threads": 1,
    "enable_large_batch_splitting": False,
}


def test_rows_of_several_requests_are_computed_together(load: Any) -> None:
    servable = load(**GATHERING)
    answers = side_by_side([lambda i=i: ask(servable, x=[i, -i]) for i in range(4)])
    for i, answer in enumerate(answers):
        np.testing.assert_array_equal(answer["sevenfold"], [7 * i, -7 * i])
        np.testing.assert_array_equal(answer["rows"], [8, 8])


def test_an_output_filter_does_not_keep_requests_apart(load: Any) -> None:
    servable = load(**GATHERING)
    x = {"x": np.arange(4, dtype=np.int32)}
    rows, sevenfold = side_by_side(
        [
            lambda: servable.run("serving_default", x, ["rows"]),
            lambda: servable.run("serving_default", x, ["sevenfold"]),
        ]
    )
    assert {name: list(value) for name, value in rows.items()} == {"rows": [8] * 4}
    assert {name: list(value) for name, value in sevenfold.items()} == {"sevenfold": [0, 7, 14, 21]}


def test_tables_and_strings_work_in_a_batch(load: Any) -> None:
    servable = load(**(GATHERING | {"max_batch_size": 4}))
    answers = side_by_side([lambda i=i: ask(servable, "words", x=[i]) for i in range(4)])
    assert [answer["word"][0] for answer in answers] == [b"many", b"one", b"two", b"many"]


def test_variables_are_handed_in_where_there_are_several_devices(
    load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batching of a server with a GPU, without the GPU."""
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _kind: ["a GPU"])
    servable = load(**GATHERING)
    kernels = [each for each in servable._graph.get_operations() if each.type == "BatchFunction"]
    handed_in = {each.type for kernel in kernels for each in (i.op for i in kernel.inputs)}
    assert handed_in == {"Placeholder", "VarHandleOp", "HashTableV2"}
    answers = side_by_side([lambda i=i: ask(servable, x=[i, -i]) for i in range(4)])
    for i, answer in enumerate(answers):
        np.testing.assert_array_equal(answer["sevenfold"], [7 * i, -7 * i])
        np.testing.assert_array_equal(answer["rows"], [8, 8])


def test_a_batch_is_padded_to_an_allowed_size(load: Any) -> None:
    servable = load(**(GATHERING | {"batch_timeout_micros": 0, "allowed_batch_sizes": (3, 8)}))
    for rows, computed in ((1, 3), (3, 3), (4, 8)):
        answer = ask(servable, x=np.arange(rows))
        np.testing.assert_array_equal(answer["sevenfold"], 7 * np.arange(rows))
        np.testing.assert_array_equal(answer["rows"], [computed] * rows)


def test_a_large_request_is_split_where_that_is_allowed(load: Any) -> None:
    servable = load(max_batch_size=20, max_execution_batch_size=8)
    answer = ask(servable, x=np.arange(20))
    np.testing.assert_array_equal(answer["sevenfold"], 7 * np.arange(20))
    assert answer["rows"].max() <= 8
    with pytest.raises(
        RequestError, match=r"^Task size 21 is larger than maximum input batch size"
    ):
        ask(servable, x=np.arange(21))


def test_a_request_above_the_largest_batch_is_refused(load: Any) -> None:
    servable = load(max_batch_size=8, enable_large_batch_splitting=False)
    with pytest.raises(RequestError) as refused:
        ask(servable, x=np.arange(9))
    assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.message == "Task size 9 is larger than maximum input batch size 8"


def test_a_request_of_no_rows_is_answered(load: Any) -> None:
    answer = ask(load(), x=[])
    assert {name: (value.shape, value.dtype) for name, value in answer.items()} == {
        "sevenfold": ((0,), np.int32),
        "rows": ((0,), np.int32),
    }
    assert ask(load(), "words", x=[])["word"].dtype == object


def test_what_depends_on_its_neighbours_is_not_batched(load: Any) -> None:
    servable = load(**GATHERING)
    assert {name for name, each in servable.signatures.items() if batchable(each)} >= {
        "serving_default",
        "words",
        "division",
    }
    assert not batchable(servable.signatures["uneven"])
    assert not batchable(servable.signatures["free"])
    short, long = side_by_side(
        [lambda: ask(servable, "uneven", x=[2]), lambda: ask(servable, "uneven", x=[5])]
    )
    assert (short["range"].shape, long["range"].shape) == ((1, 2), (1, 5))
    first, second = side_by_side(
        [lambda: ask(servable, "free", x=[[1, 2]]), lambda: ask(servable, "free", x=[[1, 2, 3]])]
    )
    assert (first["sum"].item(), second["sum"].item()) == (3, 6)


def test_a_request_that_does_not_fit_fails_nobody_else(load: Any) -> None:
    servable = load(**(GATHERING | {"max_batch_size": 3}))
    *good, flat, uneven = side_by_side(
        [
            *(lambda i=i: ask(servable, "division", x=[8 * i], y=[4]) for i in range(3)),
            lambda: ask(servable, "division", x=[[8, 6]], y=[[4, 0]]),
            lambda: ask(servable, "division", x=[8, 6], y=[4]),
        ]
    )
    assert [answer["quotient"].tolist() for answer in good] == [[0], [2], [4]]
    assert isinstance(flat, RequestError)
    assert flat.message.startswith("Integer division by zero")
    assert (uneven.code, uneven.message) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "Batching Run() input tensors must have equal 0th-dimension size",
    )


def test_a_failure_of_the_graph_reads_as_it_does_alone(counting: Path, load: Any) -> None:
    messages = []
    for servable in (load(), Servable(1, counting, inter_op=2, intra_op=1)):
        with pytest.raises(RequestError) as failed:
            ask(servable, "division", x=[1], y=[0])
        messages.append((failed.value.code, failed.value.message))
    servable.close()
    assert messages[0] == messages[1]


def test_a_full_queue_refuses_and_recovers(load: Any) -> None:
    servable = load(
        max_batch_size=1,
        max_enqueued_batches=2,
        num_batch_threads=1,
        enable_large_batch_splitting=False,
    )
    answers = side_by_side([lambda i=i: ask(servable, x=[i]) for i in range(60)])
    refused = [answer for answer in answers if isinstance(answer, RequestError)]
    assert 0 < len(refused) < 60
    for each in refused:
        assert each.code is grpc.StatusCode.UNAVAILABLE
        assert each.message.startswith(
            "The batch scheduling queue to which this task was submitted"
        )
    for i, answer in enumerate(answers):
        if not isinstance(answer, RequestError):
            assert answer["sevenfold"].tolist() == [7 * i]
    assert ask(servable, x=[3])["sevenfold"].tolist() == [21]


def test_many_clients_get_what_each_would_get_alone(
    tmp_path: Path, publish: Any, connect: Any, windows: Any
) -> None:
    publish(tmp_path, 1)
    with EmbeddedServer(tmp_path, ServerOptions(port=0, batching=False)) as server:
        alone = connect(server).predict(tokens=windows(96)).outputs["probabilities"]
    expected = np.array(alone.float_val).reshape(96, -1)
    with EmbeddedServer(tmp_path, ServerOptions(port=0, workers=32)) as server:
        caller = connect(server)
        first = np.cumsum([0, *(1 + i % 3 for i in range(48))])
        calls = [
            caller.prediction.Predict.future(
                caller.request(tokens=windows(96)[start:end]), timeout=60
            )
            for start, end in pairwise(first)
        ]
        for call, (start, end) in zip(calls, pairwise(first), strict=True):
            values = call.result().outputs["probabilities"].float_val
            np.testing.assert_allclose(
                np.array(values).reshape(end - start, -1), expected[start:end], atol=1e-6
            )


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_means_what_it_means_to_tensorflow_serving(tmp_path: Path) -> None:
    """Absent fields take the defaults of shared_batch_scheduler.h."""
    empty = read_parameters(write(tmp_path / "empty", "# nothing\n"))
    assert (empty.max_batch_size, empty.batch_timeout_micros) == (1000, 0)
    assert (empty.max_enqueued_batches, empty.enable_large_batch_splitting) == (10, False)
    full = """
      max_batch_size { value: 128 }  batch_timeout_micros { value: 500 }
      max_enqueued_batches { value: 7 }  num_batch_threads { value: 3 }
      thread_pool_name { value: "threads" }  allowed_batch_sizes: [32, 128]
      pad_variable_length_inputs: true
      enable_large_batch_splitting { value: true }  max_execution_batch_size { value: 32 }
    """
    assert read_parameters(write(tmp_path / "full", full)) == BatchingParameters(
        128, 500, 7, 3, (32, 128), True, 32
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_batch_size { value: 4 }\nmax_batch { value: 4 }", "line 2: .*max_batch"),
        ("max_batch_size: 4", "line 1: "),
        ("max_batch_size { value: four }", "line 1: "),
        ("max_batch_size { value: 0 }", "max_batch_size must be between 1 and"),
        ("batch_timeout_micros { value: -1 }", "batch_timeout_micros must be between 0 and"),
        ("num_batch_threads { value: 0 }", "num_batch_threads must be between 1 and"),
        ("allowed_batch_sizes: [8, 4, 1000]", "allowed_batch_sizes must be positive and ascending"),
        (
            "max_batch_size { value: 8 }\nallowed_batch_sizes: [2, 4]",
            r"the last entry of allowed_batch_sizes must equal max_batch_size \(8\), but is 4",
        ),
        (
            "max_batch_size { value: 8 } max_execution_batch_size { value: 9 }"
            "enable_large_batch_splitting { value: true }",
            r"max_execution_batch_size \(9\) must not exceed max_batch_size \(8\)",
        ),
    ],
)
def test_a_wrong_file_is_one_line_that_names_it(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path / "batching.config", text)
    with pytest.raises(ConfigInvalid) as refused:
        read_parameters(path)
    assert re.match(f"{re.escape(str(path))}(, line|: ).*", str(refused.value))
    assert re.search(words, str(refused.value))
    assert "\n" not in str(refused.value)


def test_a_missing_file_stops_the_start(shared_server: EmbeddedServer, tmp_path: Path) -> None:
    options = ServerOptions(port=0, batching_parameters_file=tmp_path / "none")
    with pytest.raises(ConfigInvalid, match=r"cannot read the batching parameters .*none: No such"):
        EmbeddedServer(shared_server.model_dir, options).start()
