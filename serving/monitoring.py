"""The page of metrics for Prometheus: TensorFlow Serving's metrics, then those of this server.

It is plain HTTP on a port of its own, at TensorFlow Serving's path and at ``/metrics``, from before
the first model is loaded until the server has stopped.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from tunesmith.serving.errors import AddressUnavailable, ExtraMissing
from tunesmith.serving.metrics import FAMILIES, without_total

try:
    from prometheus_client import CollectorRegistry, Gauge, Info, make_wsgi_app
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.process_collector import ProcessCollector
    from prometheus_client.registry import Collector
except ModuleNotFoundError as error:
    raise ExtraMissing(f"metrics need {error.name}: pip install 'tunesmith[serving]'") from error

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PATHS = ("/monitoring/prometheus/metrics", "/metrics")
"""TensorFlow Serving's path (util/prometheus_exporter.cc) and the one that most scrapers try."""

# Format 0.0.4 whatever a scraper prefers: OpenMetrics requires _total behind each counter.
_ACCEPT = "text/plain; version=0.0.4"
_IDLE_SECONDS = 10.0

Versions = Callable[[], Mapping[str, Iterable[int]]]


class Monitor:
    """The metrics of one server.

    Attributes:
        in_flight: returns the number of requests that are processed or wait; the server sets it.
        refused: returns the number of requests refused for overload since the start.
        versions: returns the available versions by model.
        registry: all metrics of the page.
    """

    def __init__(self) -> None:
        self.in_flight: Callable[[], int] = lambda: 0
        self.refused: Callable[[], int] = lambda: 0
        self.versions: Versions = dict
        self.registry = CollectorRegistry()
        for family in FAMILIES:
            self.registry.register(family)
        ProcessCollector(registry=self.registry)
        Info("tunesmith_build", "Version of tunesmith.", registry=self.registry).info(
            {"version": version("tunesmith")}
        )
        Gauge(
            "tunesmith_requests_in_flight",
            "Requests that are processed or wait for a thread.",
            registry=self.registry,
        ).set_function(lambda: self.in_flight())
        self.registry.register(_OwnNumbers(self))


class _OwnNumbers(Collector):
    """Metrics that are read from the server at each scrape."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def collect(self) -> Iterable[Metric]:
        yield CounterMetricFamily(
            "tunesmith_requests_refused",
            "Requests refused with RESOURCE_EXHAUSTED because too many were in flight.",
            value=self._monitor.refused(),
        )
        serving = GaugeMetricFamily(
            "tunesmith_model_version_available",
            "1 for each version that answers requests.",
            labels=["model_name", "version"],
        )
        for model, numbers in sorted(self._monitor.versions().items()):
            for number in sorted(numbers):
                serving.add_metric([model, str(number)], 1)
        yield serving


class MetricsServer:
    """An HTTP server for the metrics, on threads of its own."""

    def __init__(self, host: str, port: int, monitor: Monitor) -> None:
        """Listen and start to answer.

        Args:
            host: interface to listen on.
            port: TCP port; 0 chooses a free one.
            monitor: the metrics.

        Raises:
            AddressUnavailable: the address cannot be bound.
        """
        self._host = host
        try:
            self._server = _server(host, port, monitor)
        except OSError as error:
            reason = error.strerror or error
            raise AddressUnavailable(
                f"cannot serve metrics on port {port} of {host} ({reason}): choose another "
                "--metrics-port (0 for any free one)"
            ) from error
        threading.Thread(
            target=self._server.serve_forever, name="metrics", daemon=True, args=(0.1,)
        ).start()

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The page's address."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}{PATHS[0]}"

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()


def _server(host: str, port: int, monitor: Monitor) -> WSGIServer:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]

    class Server(ThreadingMixIn, WSGIServer):
        address_family = family
        daemon_threads = True
        # A second server on the same port is an error; it would get half of the scrapes.
        allow_reuse_port = False

    return make_server(str(address[0]), port, _application(monitor), Server, _QuietHandler)


class _QuietHandler(WSGIRequestHandler):
    timeout = _IDLE_SECONDS

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: there is a scrape every few seconds."""


def _application(monitor: Monitor) -> WSGIApplication:
    page = make_wsgi_app(monitor.registry, disable_compression=True)

    def application(environment: WSGIEnvironment, start: StartResponse) -> list[bytes]:
        if environment["PATH_INFO"] not in PATHS:
            start("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
            return [f"the metrics are at {PATHS[0]}\n".encode()]
        answer = page({**environment, "HTTP_ACCEPT": _ACCEPT}, start)
        return [without_total(part) for part in answer]

    return application
