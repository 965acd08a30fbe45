"""More than a server can carry: refused quickly, not queued without bound, and soon over."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from tunesmith.serving import EmbeddedServer, ServerOptions, metrics
from tunesmith.serving.runtime import tf

AT_ONCE = 60


class Busy(tf.Module):
    """A row takes a few milliseconds, so that requests meet each other."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "x")])
    def serving_default(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        matrix = tf.ones([300, 300]) / 300.0
        counted = tf.while_loop(
            lambda step, _: step < 5,
            lambda step, product: (step + 1, tf.linalg.matmul(product, matrix)),
            (0, matrix),
        )
        return {"y": x + tf.cast(tf.round(counted[1][0, 0] * 300.0), tf.int32)}


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("busy")
    module = Busy()
    tf.saved_model.save(module, str(base / "1"), signatures=module.serving_default)
    return base


@pytest.fixture
def parameters(tmp_path: Path) -> Path:
    """One row a batch, one batch at a time, four waiting."""
    path = tmp_path / "batching.config"
    path.write_text(
        "max_batch_size { value: 1 } num_batch_threads { value: 1 } "
        "max_enqueued_batches { value: 4 }",
        encoding="utf-8",
    )
    return path


def flood(caller: Any) -> Iterator[tuple[int, Any]]:
    """Send requests all at once; yield each one's number and call once it has ended."""
    calls = [
        caller.prediction.Predict.future(caller.request(x=[i]), timeout=60) for i in range(AT_ONCE)
    ]
    for i, call in enumerate(calls):
        call.exception()
        yield i, call


def check(caller: Any, refusal: grpc.StatusCode, words: str) -> None:
    """Flood the server twice: some are refused so, the others right, and afterwards all are."""
    for _ in range(2):
        seen: Counter[grpc.StatusCode] = Counter()
        for i, call in flood(caller):
            seen[call.code()] += 1
            if call.code() is grpc.StatusCode.OK:
                assert list(call.result().outputs["y"].int_val) == [i + 1]
            else:
                assert words in call.details()
        assert set(seen) == {grpc.StatusCode.OK, refusal}
        for i in range(5):
            assert list(caller.predict(x=[i]).outputs["y"].int_val) == [i + 1]


def test_a_full_batching_queue_is_unavailable(busy: Path, parameters: Path, connect: Any) -> None:
    options = ServerOptions(
        port=0, workers=AT_ONCE, max_requests=AT_ONCE, batching_parameters_file=parameters
    )
    with EmbeddedServer(busy, options) as server:
        check(connect(server), grpc.StatusCode.UNAVAILABLE, "The batch scheduling queue")


def test_too_many_requests_at_once_exhaust_the_server(busy: Path, connect: Any) -> None:
    options = ServerOptions(port=0, workers=4, max_requests=8, batching=False)
    with EmbeddedServer(busy, options) as server:
        caller = connect(server)
        check(caller, grpc.StatusCode.RESOURCE_EXHAUSTED, "Server Threadpool Exhausted")


def test_as_many_requests_as_are_taken_are_all_answered(busy: Path, connect: Any) -> None:
    options = ServerOptions(port=0, max_requests=AT_ONCE)
    with EmbeddedServer(busy, options) as server:
        for i, call in flood(connect(server)):
            np.testing.assert_array_equal(call.result().outputs["y"].int_val, [i + 1])


def test_what_nobody_waits_for_is_not_computed(shared_server: EmbeddedServer, connect: Any) -> None:
    """A request that waits for a thread past its deadline costs the others nothing."""
    model = "deadlines"
    options = ServerOptions(port=0, workers=1, model_name=model)
    with EmbeddedServer(shared_server.model_dir, options) as server:
        caller = connect(server)

        def request(signature: str, **inputs: Any) -> Any:
            asked = caller.request(signature, **inputs)
            asked.model_spec.name = model
            return asked

        running = caller.prediction.Predict.future(request("slow", steps=200_000), timeout=60)
        while server._threads.in_flight == 0:  # Until it is first in the only thread's queue.
            time.sleep(0.001)
        late = [
            caller.prediction.Predict.future(request("vocabulary", token_ids=[1]), timeout=0.05)
            for _ in range(10)
        ]
        codes = {call.code() for call in late}
        assert not running.done(), "the requests did not have to wait: more steps are needed"
        assert codes == {grpc.StatusCode.DEADLINE_EXCEEDED}
        assert running.result().outputs["counted"].int_val[0] == 200_000
        caller.prediction.Predict(request("vocabulary", token_ids=[2]), timeout=60)
    computed = [
        line for line in metrics.RUNTIME_LATENCY.page() if model in line and "_count" in line
    ]
    assert [line.split()[-1] for line in computed] == ["2"]
