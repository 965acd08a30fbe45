"""The embedded server: TensorFlow's own runtime behind gRPC, started with pip and nothing else.

This module is light; TensorFlow is imported when a server starts, not before.
"""

from __future__ import annotations

import errno
import logging
import signal
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

import grpc

from tunesmith.serving.errors import AddressUnavailable, ServingError
from tunesmith.serving.loading import open_store, require_models
from tunesmith.serving.options import ServerOptions

if TYPE_CHECKING:
    from tunesmith.serving.health import Health
    from tunesmith.serving.store import ModelStore

_LOG = logging.getLogger(__name__)
_LARGEST_PORT = 65535


class EmbeddedServer:
    """A server of one model over TensorFlow Serving's gRPC services.

    Use it as a context manager, or call :meth:`start` and :meth:`stop`; once stopped it stays so.

    Attributes:
        model_dir: the base path that holds ``<version>/saved_model.pb``.
        options: how it is set up.
        port: the TCP port it listens on; the chosen one after a start with port 0.
    """

    def __init__(self, model_dir: Path | str, options: ServerOptions | None = None) -> None:
        self.model_dir = Path(model_dir)
        self.options = options or ServerOptions()
        self.port = self.options.port
        self._server: grpc.Server | None = None
        self._store: ModelStore | None = None
        self._health: Health | None = None

    @property
    def address(self) -> str:
        """``host:port`` for a client's channel."""
        return _join(self.options.host, self.port)

    def start(self) -> EmbeddedServer:
        """Load the model, then open the port: the first answer a client gets is a real one.

        Returns:
            The server itself.

        Raises:
            ModelFolderMissing, ModelVersionMissing, ModelNotLoadable: there is nothing to serve.
            AddressUnavailable: the host and port cannot be listened on.
            ExtraMissing: TensorFlow or TensorFlow Serving's messages are not installed.
        """
        # Both are looked at before TensorFlow's seconds of import and the model's of loading.
        require_models(self.model_dir, self.options)
        _require_free(self.options.host, self.port)
        self._store = open_store(self.model_dir, self.options)
        try:
            self._server = self._open_port(self._store)
        except ServingError:
            self._store.stop()
            raise
        self._server.start()
        _LOG.info("serving model=%s address=%s", self.options.model_name, self.address)
        return self

    def stop(self, drain_seconds: float | None = None) -> None:
        """Refuse new requests, let running ones finish, close the port and unload the model.

        Args:
            drain_seconds: how long to wait for running requests; the option of that name if None.
        """
        if self._server is None or self._store is None or self._health is None:
            return
        grace = self.options.drain_seconds if drain_seconds is None else drain_seconds
        _LOG.info("stopping address=%s drain_seconds=%g", self.address, grace)
        stopped = self._server.stop(grace)
        self._health.end()
        stopped.wait()
        self._store.stop()
        self._server = self._store = self._health = None

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

    def _open_port(self, store: ModelStore) -> grpc.Server:
        from grpc_health.v1 import health_pb2_grpc

        from tunesmith.serving.health import Health
        from tunesmith.serving.services import MODEL_SERVICE, PREDICTION_SERVICE, Services, handlers

        server = grpc.server(
            ThreadPoolExecutor(self.options.workers, thread_name_prefix="request"),
            options=[
                # Without it a second server takes the port too, and gets every other connection.
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", self.options.max_receive_bytes),
                ("grpc.max_send_message_length", self.options.max_send_bytes),
            ],
        )
        services = Services(store, tensor_content=self.options.tensor_content)
        server.add_generic_rpc_handlers(handlers(services))
        self._health = Health((PREDICTION_SERVICE, MODEL_SERVICE))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        try:
            self.port = server.add_insecure_port(self.address)
        except RuntimeError as error:
            _require_free(self.options.host, self.options.port)
            raise AddressUnavailable(f"cannot listen on {self.address}: {error}") from error
        return server


def serve(
    model_dir: Path | str,
    options: ServerOptions | None = None,
    *,
    ready: Callable[[EmbeddedServer], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then let running requests finish; for the command line.

    A second signal does not wait for them. Only the main thread may call this.

    Args:
        model_dir: the base path that holds ``<version>/saved_model.pb``.
        options: how the server is set up.
        ready: called once with the server when it answers.

    Raises:
        ServingError: what :meth:`EmbeddedServer.start` raises.
    """
    server = EmbeddedServer(model_dir, options).start()
    signalled = threading.Event()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        signalled.set()

    previous = {each: signal.signal(each, on_signal) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        if ready is not None:
            ready(server)
        signalled.wait()
    finally:
        server.stop()
        for each, handler in previous.items():
            signal.signal(each, handler)


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _require_free(host: str, port: int) -> None:
    """Bind the address for a moment, to learn the reason if it cannot be.

    Raises:
        AddressUnavailable: it cannot be listened on.
    """
    if not 0 <= port <= _LARGEST_PORT:
        raise AddressUnavailable(f"cannot listen on port {port}: ports are 0 to {_LARGEST_PORT}")
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise AddressUnavailable(f"cannot listen on {host!r}: no such host is known") from error
    failures: list[OSError] = []
    for family, kind, protocol, _, address in addresses:
        try:
            with socket.socket(family, kind, protocol) as probe:
                # As gRPC does: a port whose last connections are still closing is free.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                probe.listen()
        except OSError as error:
            failures.append(error)
    # A name may stand for several addresses. A foreign server on one of them is always in the way,
    # while one that this machine lacks, such as IPv6's loopback, is not.
    for failure in failures:
        if failure.errno == errno.EADDRINUSE:
            raise AddressUnavailable(
                f"port {port} on {host} is in use: stop the program that holds it, or choose "
                "another port (0 for any free one)"
            ) from failure
    if len(failures) == len(addresses):
        raise AddressUnavailable(
            f"cannot listen on {_join(host, port)}: {failures[0].strerror}"
        ) from failures[0]
