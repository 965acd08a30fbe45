"""The embedded server: TensorFlow's own runtime behind gRPC, started with pip and nothing else.

This module is light; TensorFlow is imported when a server starts, not before.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import grpc

from tunesmith.serving import addresses
from tunesmith.serving.admission import Admission, RequestThreads
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
    # Calls that Python has not looked at yet. From a thousand up gRPC would end some of them
    # with CANCELLED, which says nothing to a client; here each gets an answer or a refusal.
    ("grpc.server.max_pending_requests", 10_000),
    ("grpc.server.max_pending_requests_hard_limit", 10_000),
    # Without it a second server takes the port too, and gets every other connection.
    ("grpc.so_reuseport", 0),
    # Clients behind proxies and address translators ping to keep a quiet connection open; gRPC's
    # own limit, one ping in five minutes, would answer them with a closed connection.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    # And a client that went without a word is noticed, after a minute and a half instead of hours.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)


class EmbeddedServer:
    """A server of models over TensorFlow Serving's gRPC services.

    Use it as a context manager, or call :meth:`start` and :meth:`stop`; once stopped it stays so.

    Attributes:
        model_dir: the base path that holds ``<version>/saved_model.pb``; None where the options
            name a model configuration.
        options: how it is set up.
        port: the TCP port it listens on; the chosen one after a start with port 0; None for none.
        metrics_url: where Prometheus finds the metrics, while started and if asked for.
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
        """``host:port`` for a client's channel, or ``unix:PATH`` where there is no port."""
        return next(iter(self.addresses), "")

    @property
    def addresses(self) -> list[str]:
        """Every address for a client's channel, the port's first."""
        found = []
        if self.port is not None:
            found.append(addresses.join(self.options.host, self.port))
        if self.options.socket is not None:
            found.append(f"unix:{self.options.socket.absolute()}")
        return found

    @property
    def in_flight(self) -> int:
        """How many requests are being answered or wait for a thread."""
        return self._threads.in_flight

    def start(self) -> EmbeddedServer:
        """Load the models, then open the port: the first answer a client gets is a real one.

        Returns:
            The server itself.

        Raises:
            ModelFolderMissing, ModelVersionMissing, ModelNotLoadable: there is nothing to serve.
            ConfigInvalid: a configuration file is wrong.
            AddressUnavailable: an address cannot be listened on.
            ExtraMissing: TensorFlow or TensorFlow Serving's messages are not installed.
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
        """Look at all that can be wrong before TensorFlow's seconds of import and a model's load.

        Returns:
            The credentials to listen with, None for plain text.

        Raises:
            ServingError: what :meth:`start` would raise of it.
        """
        require_models(self.model_dir, self.options)
        credentials = None
        if self.options.ssl_config_file is not None:
            credentials = server_credentials(self.options.ssl_config_file)
        self._require_addresses()
        return credentials

    def stop(self, drain_seconds: float | None = None) -> None:
        """Refuse new requests, let running ones finish, close the port and unload the models.

        Args:
            drain_seconds: how long to wait for running requests; the option of that name if None.
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
        """Block until the server is stopped by another thread, or `timeout` seconds passed.

        Returns:
            True if the time ran out first.
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
        """Look at every address.

        Raises:
            AddressUnavailable: one cannot be listened on.
        """
        if self.port is not None:
            addresses.require_free(self.options.host, self.port)
        if self.options.socket is not None:
            addresses.require_free_socket(self.options.socket.absolute())
        if self.options.metrics_port is not None:
            addresses.require_free(self.options.host, self.options.metrics_port)
            if self.options.metrics_port == self.port != 0:
                raise AddressUnavailable(
                    f"port {self.port} cannot be both for requests and for metrics: name two"
                )
        if not self.addresses:
            raise AddressUnavailable("nothing to listen on: name a port or a socket")

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
        admission = Admission(handlers(services), self._threads, self.options.max_requests)
        self._health = Health((PREDICTION_SERVICE, MODEL_SERVICE))
        self._reflection = Reflection((PREDICTION_SERVICE, MODEL_SERVICE, HEALTH_SERVICE))
        server.add_generic_rpc_handlers((admission, *self._reflection.handlers()))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if monitor is not None:
            monitor.in_flight = lambda: self.in_flight
            monitor.refused = lambda: admission.refused
            monitor.versions = store.available
        return server

    def _listen(
        self, server: grpc.Server, credentials: grpc.ServerCredentials | None, opened: ExitStack
    ) -> None:
        """Open the port and the socket.

        Raises:
            AddressUnavailable: one of them was taken while the models were loading.
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
