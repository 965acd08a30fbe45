"""The page that Prometheus scrapes: TensorFlow Serving's numbers, then this server's own.

Plain HTTP on an address of its own, at TensorFlow Serving's path and at the customary one. It
answers from before the first model is loaded until the server has stopped.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from typing import Any

from tunesmith.serving.errors import AddressUnavailable, ExtraMissing
from tunesmith.serving.metrics import FAMILIES

try:
    from prometheus_client import CollectorRegistry, Gauge, Info, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.process_collector import ProcessCollector
    from prometheus_client.registry import Collector
except ModuleNotFoundError as error:
    raise ExtraMissing(f"metrics need {error.name}: pip install 'tunesmith[serving]'") from error

PATHS = ("/monitoring/prometheus/metrics", "/metrics")
"""TensorFlow Serving's path (util/prometheus_exporter.cc) and the one that most scrapers try."""

# Format 0.0.4 whatever a scraper prefers: OpenMetrics would want _total behind each counter.
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_IDLE_SECONDS = 10.0

Versions = Callable[[], Mapping[str, Iterable[int]]]


class Monitor:
    """The numbers of one server, and the page that shows them.

    Attributes:
        in_flight: returns how many requests are being answered or wait; the server sets it.
        refused: returns how many requests were refused for overload since the start.
        versions: returns the versions that serve, by model.
    """

    def __init__(self) -> None:
        self.in_flight: Callable[[], int] = lambda: 0
        self.refused: Callable[[], int] = lambda: 0
        self.versions: Versions = dict
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        Info("tunesmith_build", "The program's version.", registry=self._registry).info(
            {"version": version("tunesmith")}
        )
        Gauge(
            "tunesmith_requests_in_flight",
            "Requests that are being answered or wait for a thread.",
            registry=self._registry,
        ).set_function(lambda: self.in_flight())
        self._registry.register(_OwnNumbers(self))

    def page(self) -> bytes:
        """Return the page, in Prometheus's text format 0.0.4."""
        lines = [line for family in FAMILIES for line in family.page()]
        return "\n".join([*lines, ""]).encode() + generate_latest(self._registry)


class _OwnNumbers(Collector):
    """What is asked of the server at each scrape rather than counted by the client library."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def collect(self) -> Iterable[Metric]:
        yield CounterMetricFamily(
            "tunesmith_requests_refused",
            "Requests refused at once with RESOURCE_EXHAUSTED, because too many were in flight.",
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
    """An HTTP server of one page, on threads of its own."""

    def __init__(self, host: str, port: int, monitor: Monitor) -> None:
        """Listen, and answer from now on.

        Args:
            host: the interface to listen on.
            port: TCP port, 0 for a free one.
            monitor: whose page it is.

        Raises:
            AddressUnavailable: the host and port cannot be listened on.
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


def _server(host: str, port: int, monitor: Monitor) -> ThreadingHTTPServer:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]

    class Server(ThreadingHTTPServer):
        address_family = family
        # A second server on the port is an error, not half of the scrapes.
        allow_reuse_port = False

    class Page(BaseHTTPRequestHandler):
        server_version = "tunesmith"
        sys_version = ""
        timeout = _IDLE_SECONDS

        def do_GET(self) -> None:
            if self.path.partition("?")[0] not in PATHS:
                self.send_error(404, explain=f"the metrics are at {PATHS[0]}")
                return
            page = monitor.page()
            self.send_response(200)
            self.send_header("Content-Type", _CONTENT_TYPE)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing: a scrape every few seconds is no event."""

    return Server(address, Page)  # type: ignore[arg-type]
