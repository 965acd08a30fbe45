"""More than a server can carry: refused quickly, not queued without bound, and soon over."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from tunesmith.serving import EmbeddedServer, ServerOptions, metrics
from tunesmith.serving.runtime import tf

AT_ONCE = 60


class Gated(tf.Module):
    """Answers x + 1 once a file exists, so that requests meet each other."""

    def __init__(self, gate: Path) -> None:
        super().__init__()
        self.gate = tf.constant(str(gate))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "x")])
    def serving_default(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        def is_missing(looks: tf.Tensor) -> tf.Tensor:
            # The pattern depends on the number of looks, or the graph might look once only.
            nothing = tf.strings.substr(tf.as_string(looks), 0, 0)
            return tf.size(tf.io.matching_files(self.gate + nothing)) == 0

        looks = tf.while_loop(is_missing, lambda looks: [looks + 1], [0])
        return {"y": x + 1 + tf.minimum(looks[0], 0)}


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder; the file ``gate`` in it lets requests end."""
    base = tmp_path_factory.mktemp("busy")
    module = Gated(base / "gate")
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


def flood(caller: Any) -> list[Any]:
    """Send requests all at once, the first one of 0, and so on; return their calls."""
    return [
        caller.prediction.Predict.future(caller.request(x=[i]), timeout=60) for i in range(AT_ONCE)
    ]


def check(caller: Any, gate: Path, refusal: grpc.StatusCode, words: str) -> None:
    """Flood the server twice: some are refused so, the others right, and afterwards all are."""
    for _ in range(2):
        gate.unlink(missing_ok=True)
        calls = flood(caller)
        while not any(call.done() for call in calls):
            time.sleep(0.001)
        gate.touch()
        seen: Counter[grpc.StatusCode] = Counter()
        for i, call in enumerate(calls):
            call.exception()
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
        words = "The batch scheduling queue"
        check(connect(server), busy / "gate", grpc.StatusCode.UNAVAILABLE, words)


def test_too_many_requests_at_once_exhaust_the_server(busy: Path, connect: Any) -> None:
    options = ServerOptions(port=0, workers=4, max_requests=8, batching=False)
    with EmbeddedServer(busy, options) as server:
        words = "Server Threadpool Exhausted"
        check(connect(server), busy / "gate", grpc.StatusCode.RESOURCE_EXHAUSTED, words)


def test_as_many_requests_as_are_taken_are_all_answered(busy: Path, connect: Any) -> None:
    options = ServerOptions(port=0, max_requests=AT_ONCE)
    (busy / "gate").unlink(missing_ok=True)
    with EmbeddedServer(busy, options) as server:
        calls = flood(connect(server))
        while server.in_flight < AT_ONCE:
            time.sleep(0.001)
        (busy / "gate").touch()
        for i, call in enumerate(calls):
            np.testing.assert_array_equal(call.result().outputs["y"].int_val, [i + 1])


def test_what_nobody_waits_for_is_not_computed(
    shared_server: EmbeddedServer, connect: Any, hold: Any
) -> None:
    """A request that waits for a thread past its deadline costs the others nothing."""
    model = "deadlines"
    options = ServerOptions(port=0, workers=1, model_name=model)
    with EmbeddedServer(shared_server.model_dir, options) as server:
        caller = connect(server)

        def request(signature: str, **inputs: Any) -> Any:
            asked = caller.request(signature, **inputs)
            asked.model_spec.name = model
            return asked

        held = request("held", folder=hold.folder)
        running = caller.prediction.Predict.future(held, timeout=60)
        hold.wait_for_start()
        late = [
            caller.prediction.Predict.future(request("vocabulary", token_ids=[1]), timeout=0.05)
            for _ in range(10)
        ]
        codes = {call.code() for call in late}
        assert codes == {grpc.StatusCode.DEADLINE_EXCEEDED}
        hold.release()
        assert running.result().outputs["done"].int_val[0] == 1
        caller.prediction.Predict(request("vocabulary", token_ids=[2]), timeout=60)
    computed = [
        sample.value
        for metric in metrics.RUNTIME_LATENCY.collect()
        for sample in metric.samples
        if sample.name.endswith("_count") and model in sample.labels.values()
    ]
    assert computed == [2]
