"""What a server counts, in the names that TensorFlow Serving uses where it has them.

Names, labels, buckets and the sense of each are those of servables/tensorflow/util.cc,
saved_model_warmup_util.cc and prediction_service_impl.cc of TensorFlow Serving, and of TensorFlow's
cc/saved_model/loader.cc; names turn into Prometheus's as in util/prometheus_exporter.cc. So a
dashboard or an alert made for TensorFlow Serving reads this server too. As there, the numbers are
the process's: two servers in one process share them.

The page is written here because prometheus_client puts ``_total`` behind every counter's name, and
TensorFlow Serving does not; what has no name there is prometheus_client's.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate

Labels = tuple[str, ...]

# A model's name comes from the client; without a bound, made-up names would fill the memory.
_MOST_SERIES = 1000
_LONGEST_LABEL = 200
OVERFLOW = "(other)"

_BUCKETS = tuple(10 * 1.8**power for power in range(33))
"""Upper bounds in microseconds, 10 us to 25 minutes; what is above counts under +Inf."""


class _Family:
    """Numbers of one name, one for each set of label values; safe to use from many threads."""

    kind = "untyped"

    def __init__(self, name: str, text: str, labels: Labels) -> None:
        self.name = name
        self._text = text
        self._labels = labels
        self._lock = threading.Lock()

    def page(self) -> Iterator[str]:
        """Yield the lines of Prometheus's text format 0.0.4."""
        yield f"# HELP {self.name} {self._text}"
        yield f"# TYPE {self.name} {self.kind}"
        yield from self._samples()

    def _samples(self) -> Iterator[str]:
        raise NotImplementedError

    def _pairs(self, values: Sequence[str]) -> str:
        named = zip(self._labels, values, strict=True)
        return ",".join(f'{label}="{_escaped(value)}"' for label, value in named)


class Counter(_Family):
    """Sums that only grow."""

    kind = "counter"

    def __init__(self, name: str, text: str, labels: Labels) -> None:
        super().__init__(name, text, labels)
        self._sums: dict[Labels, int] = {}

    def add(self, values: Labels, amount: int = 1) -> None:
        """Add `amount`, not negative, to the sum of these label values."""
        with self._lock:
            if values not in self._sums:
                values = _bounded(values, len(self._sums))
                self._sums.setdefault(values, 0)
            self._sums[values] += amount

    def _samples(self) -> Iterator[str]:
        with self._lock:
            sums = sorted(self._sums.items())
        for values, total in sums:
            yield f"{self.name}{{{self._pairs(values)}}} {total}"


class Histogram(_Family):
    """Durations in microseconds, by TensorFlow Serving's buckets."""

    kind = "histogram"

    def __init__(self, name: str, text: str, labels: Labels) -> None:
        super().__init__(name, text, labels)
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}

    def add(self, values: Labels, seconds: float) -> None:
        """Count one duration of `seconds` under these label values."""
        microseconds = seconds * 1e6
        bucket = bisect_left(_BUCKETS, microseconds)
        with self._lock:
            if values not in self._counts:
                values = _bounded(values, len(self._counts))
                self._counts.setdefault(values, [0] * (len(_BUCKETS) + 1))
                self._sums.setdefault(values, 0.0)
            self._counts[values][bucket] += 1
            self._sums[values] += microseconds

    def _samples(self) -> Iterator[str]:
        with self._lock:
            found = sorted(
                (values, list(counts), self._sums[values])
                for values, counts in self._counts.items()
            )
        bounds = [*(f"{bound:g}" for bound in _BUCKETS), "+Inf"]
        for values, counts, total in found:
            pairs = self._pairs(values)
            for bound, below in zip(bounds, accumulate(counts), strict=True):
                yield f'{self.name}_bucket{{{pairs},le="{bound}"}} {below}'
            yield f"{self.name}_sum{{{pairs}}} {total:.0f}"
            yield f"{self.name}_count{{{pairs}}} {sum(counts)}"


def _bounded(values: Labels, series: int) -> Labels:
    if series >= _MOST_SERIES:
        return (OVERFLOW,) * len(values)
    return tuple(value[:_LONGEST_LABEL] for value in values)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


REQUEST_COUNT = Counter(
    ":tensorflow:serving:request_count",
    "Predict requests, by the gRPC status code they were answered with.",
    ("model_name", "status"),
)
REQUEST_LATENCY = Histogram(
    ":tensorflow:serving:request_latency",
    "Microseconds inside the server of a request that was answered OK.",
    ("model_name", "API", "entrypoint"),
)
RUNTIME_LATENCY = Histogram(
    ":tensorflow:serving:runtime_latency",
    "Microseconds that a request spent in TensorFlow, waiting for its batch included.",
    ("model_name", "API", "runtime"),
)
WARMUP_LATENCY = Histogram(
    ":tensorflow:serving:model_warmup_latency",
    "Microseconds that the warm-up requests of a version took.",
    ("model_path", "status"),
)
LOAD_ATTEMPT_COUNT = Counter(
    ":tensorflow:cc:saved_model:load_attempt_count",
    "Attempts to load a SavedModel, by success or fail.",
    ("model_path", "status"),
)
LOAD_LATENCY = Counter(
    ":tensorflow:cc:saved_model:load_latency",
    "Microseconds spent loading a SavedModel, all its successful loads together.",
    ("model_path",),
)
FAMILIES: tuple[_Family, ...] = (
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
    REQUEST_COUNT.add((model, status))
    if status == "OK":
        REQUEST_LATENCY.add((model, "Predict", "GRPC"), seconds)


def predict_computed(model: str, seconds: float) -> None:
    """Count the time that a Predict request spent in TensorFlow's session."""
    RUNTIME_LATENCY.add((model, "Predict", "TF1"), seconds)


@contextmanager
def load_tried(path: str) -> Iterator[None]:
    """Count an attempt to load the version folder `path`, which is what happens inside."""
    started = time.perf_counter()
    try:
        yield
    except BaseException:
        LOAD_ATTEMPT_COUNT.add((path, "fail"))
        raise
    LOAD_ATTEMPT_COUNT.add((path, "success"))
    LOAD_LATENCY.add((path,), round((time.perf_counter() - started) * 1e6))


def warmed_up(path: str, seconds: float) -> None:
    """Count a warm-up of the version folder `path` that went well."""
    WARMUP_LATENCY.add((path, "OK"), seconds)
