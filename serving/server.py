"""The embedded server: TensorFlow's own runtime behind gRPC; needs only packages from pip.

Importing this module does not import TensorFlow; starting a server does.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import grpc

from tunesmith.serving import addresses
from tunesmith.serving.admission import LoadShedding, RequestThreads
from tunesmith.serving.errors import AddressUnavailable
from tunesmith.serving.loading import open_store, require_models
from tunesmith.serving.options import ServerOptions
from tunesmith.serving.tls import server_credentials

if TYPE_CHECKING:
    from tunesmith.serving.health import Health
    from tunesmith.serving.monitoring import Monitor
    from tunesmith.serving.reflection import Reflection
    from tunesmith.serving.store import ModelStore

_LOG = logging.getLogger(__name__)

_CONNECTION = (
    # Calls that gRPC has received and Python has not. By default gRPC cancels some of them above
    # 1,000, with CANCELLED; with this limit each call gets an answer or RESOURCE_EXHAUSTED.
    ("grpc.server.max_pending_requests", 10_000),
    ("grpc.server.max_pending_requests_hard_limit", 10_000),
    # By default a second server can bind the same port and gets part of the connections.
    ("grpc.so_reuseport", 0),
    # Clients behind proxies ping to keep an idle connection open. gRPC's default limit, one ping in
    # five minutes, would close the connection.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    # A vanished client is detected after 80 seconds instead of hours.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)


class EmbeddedServer:
    """A model server with TensorFlow Serving's gRPC services.

    Use it as a context manager, or call :meth:`start` and :meth:`stop`. It cannot be started again.

    Attributes:
        model_dir: base path that contains ``<version>/saved_model.pb``; None if the options name a
            model configuration file.
        options: options of the server.
        port: TCP port; after a start with port 0, the chosen port; None without a port.
        metrics_url: URL of the Prometheus metrics while the server runs; None without metrics.
    """

    def __init__(self, model_dir: Path | str | None, options: ServerOptions | None = None) -> None:
        self.model_dir = None if model_dir is None else Path(model_dir)
        self.options = options or ServerOptions()
        self.port = self.options.port
        self.metrics_url: str | None = None
        self._opened = ExitStack()
        self._server: grpc.Server | None = None
        self._threads = RequestThreads(self.options.workers)
        self._health: Health | None = None
        self._reflection: Reflection | None = None

    @property
    def address(self) -> str:
        """Address for a client's channel: ``host:port``, or ``unix:PATH`` without a port."""
        return next(iter(self.addresses), "")

    @property
    def addresses(self) -> list[str]:
        """All addresses for a client's channel, the TCP address first."""
        found = []
        if self.port is not None:
            found.append(addresses.join(self.options.host, self.port))
        if self.options.socket is not None:
            found.append(f"unix:{self.options.socket.absolute()}")
        return found

    @property
    def in_flight(self) -> int:
        """Number of requests that are running or waiting for a thread."""
        return self._threads.in_flight

    def start(self) -> EmbeddedServer:
        """Load the models, then open the port; so a client that can connect gets answers.

        Returns:
            The server itself.

        Raises:
            ModelFolderMissing, ModelVersionMissing, ModelNotLoadable: no model can be served.
            ConfigInvalid: a configuration file is invalid.
            AddressUnavailable: an address cannot be bound.
            ExtraMissing: TensorFlow or tensorflow-serving-api is not installed.
        """
        credentials = self.check()
        _LOG.info("starting", extra={"address": ",".join(self.addresses)})
        with ExitStack() as opened:
            monitor = self._open_metrics(opened)
            store = open_store(self.model_dir, self.options)
            opened.callback(store.stop)
            server = self._make_server(store, monitor)
            self._listen(server, credentials, opened)
            server.start()
            self._server, self._opened = server, opened.pop_all()
        _LOG.info(
            "serving",
            extra={
                "address": ",".join(self.addresses),
                "tls": "no" if credentials is None else "yes",
                "metrics": self.metrics_url or "none",
            },
        )
        return self

    def check(self) -> grpc.ServerCredentials | None:
        """Check files, folders and addresses, without importing TensorFlow or loading a model.

        Returns:
            The server credentials, or None without TLS.

        Raises:
            ServingError: as :meth:`start`.
        """
        require_models(self.model_dir, self.options)
        credentials = None
        if self.options.ssl_config_file is not None:
            credentials = server_credentials(self.options.ssl_config_file)
        self._require_addresses()
        return credentials

    def stop(self, drain_seconds: float | None = None) -> None:
        """Refuse new requests, finish the running ones, close the port and unload the models.

        Args:
            drain_seconds: maximum time to wait for running requests; None uses the option of the
                same name.
        """
        if self._server is None or self._health is None or self._reflection is None:
            return
        grace = self.options.drain_seconds if drain_seconds is None else drain_seconds
        _LOG.info("stopping", extra={"in_flight": self.in_flight, "drain_seconds": grace})
        stopped = self._server.stop(grace)
        self._health.end()
        self._reflection.end()
        stopped.wait()
        self._opened.close()
        self._threads.shutdown(wait=False)
        self._server = self._health = self._reflection = self.metrics_url = None
        _LOG.info("stopped", extra={"address": ",".join(self.addresses)})

    def wait(self, timeout: float | None = None) -> bool:
        """Block until another thread stops the server, or for at most `timeout` seconds.

        Returns:
            True if the timeout expired.
        """
        if self._server is None:
            return False
        return bool(self._server.wait_for_termination(timeout))

    def __enter__(self) -> EmbeddedServer:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _require_addresses(self) -> None:
        """Check all addresses.

        Raises:
            AddressUnavailable: an address cannot be bound.
        """
        if self.port is not None:
            addresses.require_free(self.options.host, self.port)
        if self.options.socket is not None:
            addresses.require_free_socket(self.options.socket.absolute())
        if self.options.metrics_port is not None:
            addresses.require_free(self.options.host, self.options.metrics_port)
            if self.options.metrics_port == self.port != 0:
                raise AddressUnavailable(
                    f"port {self.port} is set for requests and for metrics: use two different ports"
                )
        if not self.addresses:
            raise AddressUnavailable("no address to listen on: set a port or a socket")

    def _open_metrics(self, opened: ExitStack) -> Monitor | None:
        if self.options.metrics_port is None:
            return None
        from tunesmith.serving.monitoring import MetricsServer, Monitor

        monitor = Monitor()
        server = MetricsServer(self.options.host, self.options.metrics_port, monitor)
        opened.callback(server.stop)
        self.metrics_url = server.url
        return monitor

    def _make_server(self, store: ModelStore, monitor: Monitor | None) -> grpc.Server:
        from grpc_health.v1 import health_pb2_grpc

        from tunesmith.serving.health import SERVICE as HEALTH_SERVICE
        from tunesmith.serving.health import Health
        from tunesmith.serving.observed import ObservedServices
        from tunesmith.serving.reflection import Reflection
        from tunesmith.serving.services import MODEL_SERVICE, PREDICTION_SERVICE, handlers

        server = grpc.server(
            self._threads,
            options=[
                *_CONNECTION,
                ("grpc.max_receive_message_length", self.options.max_receive_bytes),
                ("grpc.max_send_message_length", self.options.max_send_bytes),
            ],
        )
        services = ObservedServices(
            store,
            tensor_content=self.options.tensor_content,
            reload_requests=self.options.takes_reload_requests,
        )
        limited = LoadShedding(handlers(services), self._threads, self.options.max_requests)
        self._health = Health((PREDICTION_SERVICE, MODEL_SERVICE))
        self._reflection = Reflection((PREDICTION_SERVICE, MODEL_SERVICE, HEALTH_SERVICE))
        server.add_generic_rpc_handlers((limited, *self._reflection.handlers()))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if monitor is not None:
            monitor.in_flight = lambda: self.in_flight
            monitor.refused = lambda: limited.refused
            monitor.versions = store.available
        return server

    def _listen(
        self, server: grpc.Server, credentials: grpc.ServerCredentials | None, opened: ExitStack
    ) -> None:
        """Open the port and the socket.

        Raises:
            AddressUnavailable: another program took one of them while the models were loading.
        """

        def listen(address: str) -> int:
            try:
                if credentials is None:
                    return int(server.add_insecure_port(address))
                return int(server.add_secure_port(address, credentials))
            except RuntimeError as error:
                if self.options.port is not None:
                    addresses.require_free(self.options.host, self.options.port)
                raise AddressUnavailable(f"cannot listen on {address}: {error}") from error

        if self.port is not None:
            self.port = listen(addresses.join(self.options.host, self.port))
        if self.options.socket is not None:
            path = self.options.socket.absolute()
            with addresses.socket_put_in_place(path, self.options.socket_mode) as aside:
                listen(f"unix:{aside}")
            opened.callback(addresses.remove_socket, path, addresses.identity(path))
