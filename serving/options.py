"""Options of the embedded server: a frozen dataclass, read once at the start."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

DEFAULT_MODEL_NAME = "tunesmith"
DEFAULT_PORT = 8500


@dataclass(frozen=True)
class ServerOptions:
    """Options of the embedded server.

    Attributes:
        model_name: model name in ``model_spec`` of requests.
        host: interface to listen on; loopback by default.
        port: TCP port; 0 chooses a free one (the server reports it), None opens no port.
        socket: path of a unix socket to listen on as well.
        socket_mode: permissions of the socket; by default only its owner can connect.
        model_config_file: models, version policies and labels in TensorFlow Serving's text format,
            instead of a single model folder.
        model_config_poll_seconds: interval at which that file is read again; 0 reads it only once.
        batching_parameters_file: batching parameters in TensorFlow Serving's text format; None uses
            the defaults of this package.
        batching: compute windows of concurrent requests as one batch.
        reload_requests: accept requests to change the served models; None accepts them only if the
            server listens on loopback or a unix socket alone.
        ssl_config_file: server key, certificate and client CA in TensorFlow Serving's text format,
            for the port and the socket; None serves without TLS.
        metrics_port: TCP port on ``host`` for Prometheus; 0 chooses a free one, None opens none.
        log_format: ``text`` (a message and ``key=value`` pairs) or ``json`` (an object per line).
        log_level: minimum level of the log lines written; debug logs each request.
        inter_op_threads: operations that a session runs in parallel; 0 lets TensorFlow choose.
        intra_op_threads: threads within one operation; 0 lets TensorFlow choose. All sessions of a
            process share both thread pools, so the first session decides their sizes. 2 and 1 were
            measured on two cores for the exported network (benchmarks/forward.py).
        poll_seconds: interval at which the model folder is polled for new versions.
        drain_seconds: maximum time that a stop waits for running requests.
        max_receive_bytes: maximum size of a request message; above it, RESOURCE_EXHAUSTED.
        max_send_bytes: maximum size of a response message.
        workers: number of requests processed at the same time. Each one occupies a thread while it
            waits for its batch, so use more workers than clients whose windows are batched.
        max_requests: maximum number of requests in flight (processed or waiting); above it,
            RESOURCE_EXHAUSTED.
        tensor_content: write outputs as raw bytes instead of typed values (TensorFlow Serving's
            ``--enable_serialization_as_tensor_content``).
    """

    model_name: str = DEFAULT_MODEL_NAME
    host: str = "127.0.0.1"
    port: int | None = DEFAULT_PORT
    socket: Path | None = None
    socket_mode: int = 0o600
    model_config_file: Path | None = None
    model_config_poll_seconds: float = 0.0
    batching_parameters_file: Path | None = None
    batching: bool = True
    reload_requests: bool | None = None
    ssl_config_file: Path | None = None
    metrics_port: int | None = None
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    inter_op_threads: int = 2
    intra_op_threads: int = 1
    poll_seconds: float = 1.0
    drain_seconds: float = 20.0
    max_receive_bytes: int = 64 * 2**20
    max_send_bytes: int = 64 * 2**20
    workers: int = 128
    max_requests: int = 256
    tensor_content: bool = False

    @property
    def takes_reload_requests(self) -> bool:
        """True if HandleReloadConfigRequest is accepted; else it is PERMISSION_DENIED."""
        if self.reload_requests is not None:
            return self.reload_requests
        return self.port is None or is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Return whether `host` is a loopback address or ``localhost``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
