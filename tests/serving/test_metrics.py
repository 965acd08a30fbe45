"""The metrics, and the page that Prometheus scrapes from a real server."""

from __future__ import annotations

import math
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tunesmith.serving import AddressUnavailable, EmbeddedServer, ModelNotLoadable, ServerOptions
from tunesmith.serving.metrics import BUCKETS, OVERFLOW, Family, without_total

TOKENS = np.zeros((1, 50))

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parsed(page: str) -> tuple[Samples, dict[str, str]]:
    """Return the value of each sample by name and labels, and the type of each family.

    The parser adds ``_total`` to the name of a counter that lacks it; here none has it.
    """
    families = list(text_string_to_metric_families(page))
    samples = {
        (sample.name.removesuffix("_total"), frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }
    return samples, {family.name: family.type for family in families}


def page_of(family: Family[Any]) -> str:
    registry = CollectorRegistry()
    registry.register(family)
    return without_total(generate_latest(registry)).decode()


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, frozenset(labels.items())), 0.0)


@pytest.fixture(scope="module")
def server(shared_server: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """A server of a model under a name that no other test's requests are counted under."""
    options = ServerOptions(port=0, metrics_port=0, model_name="measured")
    with EmbeddedServer(shared_server.model_dir, options) as server:
        yield server


def scrape(server: EmbeddedServer, accept: str = "*/*") -> tuple[str, str]:
    """Return the page and its content type."""
    assert server.metrics_url
    request = urllib.request.Request(server.metrics_url, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode(), answer.headers["Content-Type"]


def test_requests_are_counted_by_model_and_code(server: EmbeddedServer, connect: Any) -> None:
    caller = connect(server)

    def ask(model: str = "measured", signature: str = "", **inputs: Any) -> None:
        request = caller.request(signature, **inputs)
        request.model_spec.name = model
        caller.prediction.Predict(request, timeout=60)

    before, _ = parsed(scrape(server)[0])
    for _ in range(3):
        ask(tokens=TOKENS)
    for wrong in ({"signature": "nope"}, {"tokens": np.zeros((1, 49))}, {"model": 'no"pe\\'}):
        with pytest.raises(grpc.RpcError):
            ask(**{"tokens": TOKENS, **wrong})
    page, _ = scrape(server)
    assert '\n:tensorflow:serving:request_count{model_name="measured",status="OK"} ' in page
    after, types = parsed(page)

    def grown(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    count = ":tensorflow:serving:request_count"
    assert types[count] == "counter"
    assert grown(count, model_name="measured", status="OK") == 3
    assert grown(count, model_name="measured", status="FAILED_PRECONDITION") == 1
    assert grown(count, model_name="measured", status="INVALID_ARGUMENT") == 1
    assert grown(count, model_name='no"pe\\', status="NOT_FOUND") == 1

    latency = ":tensorflow:serving:request_latency"
    served = {"model_name": "measured", "API": "Predict", "entrypoint": "GRPC"}
    assert types[latency] == "histogram"
    assert grown(f"{latency}_count", **served) == 3
    assert grown(f"{latency}_bucket", le="+Inf", **served) == 3
    computed = {"model_name": "measured", "API": "Predict", "runtime": "TF1"}
    assert grown(":tensorflow:serving:runtime_latency_count", **computed) == 3
    inside = grown(":tensorflow:serving:runtime_latency_sum", **computed)
    assert 0 < inside < grown(f"{latency}_sum", **served) < 60e6


def test_the_page_says_what_is_loaded_and_what_the_process_takes(server: EmbeddedServer) -> None:
    samples, _ = parsed(scrape(server)[0])
    available = "tunesmith_model_version_available"
    assert value(samples, available, model_name="measured", version="3") == 1
    assert value(samples, "tunesmith_requests_in_flight") == 0
    assert value(samples, "tunesmith_requests_refused") == 0
    assert value(samples, "process_resident_memory_bytes") > 50e6
    assert value(samples, "process_start_time_seconds") > 1.7e9


def test_loads_are_counted_by_path(server: EmbeddedServer) -> None:
    assert server.model_dir
    path = str(server.model_dir / "3")
    samples, _ = parsed(scrape(server)[0])
    attempts = ":tensorflow:cc:saved_model:load_attempt_count"
    assert value(samples, attempts, model_path=path, status="success") >= 1
    assert value(samples, ":tensorflow:cc:saved_model:load_latency", model_path=path) > 1000


def test_the_page_is_the_same_for_a_scraper_that_prefers_openmetrics(
    server: EmbeddedServer,
) -> None:
    _, kind = scrape(server, "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert kind == "text/plain; version=0.0.4; charset=utf-8"


def test_only_the_metrics_are_there(server: EmbeddedServer) -> None:
    assert server.metrics_url
    base = server.metrics_url.removesuffix("/monitoring/prometheus/metrics")
    with urllib.request.urlopen(f"{base}/metrics", timeout=10) as answer:
        assert b":tensorflow:serving:request_count" in answer.read()
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{base}/", timeout=10)
    assert caught.value.code == 404


def test_metrics_listen_on_loopback_and_stop_with_the_server(
    shared_server: EmbeddedServer,
) -> None:
    options = ServerOptions(port=0, metrics_port=0)
    with EmbeddedServer(shared_server.model_dir, options) as server:
        url = server.metrics_url or ""
        assert url.startswith("http://127.0.0.1:")
        taken = int(url.split(":")[2].partition("/")[0])
        with pytest.raises(AddressUnavailable, match=f"port {taken} on 127.0.0.1 is in use"):
            EmbeddedServer(
                shared_server.model_dir, ServerOptions(port=0, metrics_port=taken)
            ).start()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url, timeout=10)


def test_a_start_that_fails_leaves_no_port_open(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"no model")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(ModelNotLoadable):
        EmbeddedServer(tmp_path, ServerOptions(port=0, metrics_port=port)).start()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_there_are_none_unless_asked_for(shared_server: EmbeddedServer) -> None:
    assert shared_server.metrics_url is None


def test_a_duration_falls_into_tensorflow_servings_buckets() -> None:
    histogram = Family(Histogram("h", "Text.", ("model",), registry=None, buckets=BUCKETS))
    for microseconds in (1, 10, 18.1, 1e12):
        histogram.labels("m").observe(microseconds)
    samples, _ = parsed(page_of(histogram))
    below = {
        dict(labels)["le"]: count for (name, labels), count in samples.items() if "bucket" in name
    }
    # As the real server prints them, to six digits.
    assert list(below)[:3] == ["10", "18", "32.4"]
    assert list(below)[-3:] == ["8.19309e+08", "1.47476e+09", "+Inf"]
    assert len(below) == 34
    assert [below[bound] for bound in ("10", "18", "32.4", "1.47476e+09", "+Inf")] == [
        2,
        2,
        3,
        3,
        4,
    ]
    assert math.isclose(value(samples, "h_sum", model="m"), 1e12, rel_tol=1e-9)


def test_made_up_names_do_not_fill_the_memory() -> None:
    counter = Family(Counter("c", "Text.", ("model",), registry=None))
    for number in range(5000):
        counter.labels(f"{number:05}" * 100).inc()
    samples, _ = parsed(page_of(counter))
    assert len(samples) == 1001
    assert value(samples, "c", model=OVERFLOW) == 4000
    assert max(len(dict(labels)["model"]) for _, labels in samples) == 200


def test_a_name_made_up_by_a_client_stays_as_it_is() -> None:
    counter = Family(Counter(":tensorflow:c", "Text.", ("model",), registry=None))
    counter.labels(":tensorflow:c_total ").inc()
    assert page_of(counter) == (
        "# HELP :tensorflow:c Text.\n"
        "# TYPE :tensorflow:c counter\n"
        ':tensorflow:c{model=":tensorflow:c_total "} 1.0\n'
    )
