"""Counters and histograms of a server, under TensorFlow Serving's names where it has them.

Names, labels, buckets and meaning are those of servables/tensorflow/util.cc,
saved_model_warmup_util.cc and prediction_service_impl.cc of TensorFlow Serving, and of TensorFlow's
cc/saved_model/loader.cc; names turn into Prometheus's as in util/prometheus_exporter.cc. So a
dashboard or an alert for TensorFlow Serving works with this server too. As there, the numbers are
those of the process: two servers in one process share them.

The metrics are prometheus_client's. It appends ``_total`` to the name of every counter and writes
the time when a series was created; TensorFlow Serving does neither: :class:`Family` leaves out the
times, and :func:`without_total` the endings.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from tunesmith.serving.errors import ExtraMissing

try:
    from prometheus_client import Counter, Histogram
    from prometheus_client.core import Metric
    from prometheus_client.registry import Collector
except ModuleNotFoundError as error:
    raise ExtraMissing(
        f"the embedded server needs {error.name}: pip install 'tunesmith[serving]'"
    ) from error

# A model's name comes from the client; without a bound, made-up names would fill the memory.
_MOST_SERIES = 1000
_LONGEST_LABEL = 200
OVERFLOW = "(other)"

BUCKETS = tuple(float(f"{10 * 1.8**power:g}") for power in range(33))
"""Upper bounds in microseconds, 10 us to 25 minutes, to six digits as in TensorFlow Serving."""

_TOTAL = re.compile(rb"^((?:# HELP |# TYPE )?:tensorflow:[\w:]+)_total(?=[ {])", re.MULTILINE)

M = TypeVar("M", Counter, Histogram)


class Family(Collector, Generic[M]):
    """A metric with a bounded number of series; safe to use from many threads.

    Args:
        metric: a metric with labels; only :meth:`labels` creates its series.
    """

    def __init__(self, metric: M) -> None:
        self._metric: M = metric
        self._series: set[tuple[str, ...]] = set()
        self._lock = threading.Lock()

    def labels(self, *values: str) -> M:
        """Return the series of these label values, shortened to 200 characters each.

        After 1,000 series the values of a new one are all ``(other)``.
        """
        values = tuple(value[:_LONGEST_LABEL] for value in values)
        with self._lock:
            if values not in self._series:
                if len(self._series) >= _MOST_SERIES:
                    values = (OVERFLOW,) * len(values)
                else:
                    self._series.add(values)
        return self._metric.labels(*values)

    def collect(self) -> Iterator[Metric]:
        """Yield the metric without the times of creation, and with bounds like ``10``."""
        for metric in self._metric.collect():
            shown = [each for each in metric.samples if not each.name.endswith("_created")]
            for sample in shown:
                if "le" in sample.labels:
                    sample.labels["le"] = sample.labels["le"].removesuffix(".0")
            metric.samples = shown
            yield metric


def without_total(page: bytes) -> bytes:
    """Return a page of metrics with TensorFlow Serving's counters under its own names.

    Args:
        page: in Prometheus's text format 0.0.4.
    """
    return _TOTAL.sub(rb"\1", page)


def _counter(name: str, labels: str, text: str) -> Family[Counter]:
    return Family(Counter(name, text, labels.split(), registry=None))


def _histogram(name: str, labels: str, text: str) -> Family[Histogram]:
    return Family(Histogram(name, text, labels.split(), registry=None, buckets=BUCKETS))


REQUEST_COUNT = _counter(
    ":tensorflow:serving:request_count",
    "model_name status",
    "Predict requests, by the gRPC status code of the answer.",
)
REQUEST_LATENCY = _histogram(
    ":tensorflow:serving:request_latency",
    "model_name API entrypoint",
    "Microseconds inside the server of a request that was answered OK.",
)
RUNTIME_LATENCY = _histogram(
    ":tensorflow:serving:runtime_latency",
    "model_name API runtime",
    "Microseconds that a request spent in TensorFlow, waiting for its batch included.",
)
WARMUP_LATENCY = _histogram(
    ":tensorflow:serving:model_warmup_latency",
    "model_path status",
    "Microseconds that the warm-up requests of a version took.",
)
LOAD_ATTEMPT_COUNT = _counter(
    ":tensorflow:cc:saved_model:load_attempt_count",
    "model_path status",
    "Attempts to load a SavedModel, by success or fail.",
)
LOAD_LATENCY = _counter(
    ":tensorflow:cc:saved_model:load_latency",
    "model_path",
    "Microseconds spent loading a SavedModel, all its successful loads together.",
)
FAMILIES: tuple[Collector, ...] = (
    LOAD_ATTEMPT_COUNT,
    LOAD_LATENCY,
    WARMUP_LATENCY,
    REQUEST_COUNT,
    REQUEST_LATENCY,
    RUNTIME_LATENCY,
)


def predict_answered(model: str, status: str, seconds: float) -> None:
    """Count a Predict request.

    Args:
        model: the name in the request.
        status: the name of a gRPC status code, such as ``NOT_FOUND``.
        seconds: from the parsed request to its answer.
    """
    REQUEST_COUNT.labels(model, status).inc()
    if status == "OK":
        REQUEST_LATENCY.labels(model, "Predict", "GRPC").observe(seconds * 1e6)


def predict_computed(model: str, seconds: float) -> None:
    """Count the time that a Predict request spent in TensorFlow's session."""
    RUNTIME_LATENCY.labels(model, "Predict", "TF1").observe(seconds * 1e6)


@contextmanager
def load_tried(path: str) -> Iterator[None]:
    """Count the block as an attempt to load the version folder `path`."""
    started = time.perf_counter()
    try:
        yield
    except BaseException:
        LOAD_ATTEMPT_COUNT.labels(path, "fail").inc()
        raise
    LOAD_ATTEMPT_COUNT.labels(path, "success").inc()
    LOAD_LATENCY.labels(path).inc(round((time.perf_counter() - started) * 1e6))


def warmed_up(path: str, seconds: float) -> None:
    """Count a successful warm-up of the version folder `path`."""
    WARMUP_LATENCY.labels(path, "OK").observe(seconds * 1e6)
