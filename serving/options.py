"""How an embedded server is set up: one frozen value, read once at the start."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

DEFAULT_MODEL_NAME = "tunesmith"
DEFAULT_PORT = 8500


@dataclass(frozen=True)
class ServerOptions:
    """The parameters of an embedded server.

    Attributes:
        model_name: the name that clients put into ``model_spec``.
        host: the interface to listen on; loopback unless told otherwise.
        port: TCP port, 0 for a free one (the server reports which); None for none, where there is
            a socket.
        socket: also listen on a unix socket of this path.
        socket_mode: that socket's permissions; its owner's alone unless told otherwise.
        model_config_file: models, version policies and labels in TensorFlow Serving's text format;
            it takes the place of the one model that a server is otherwise given.
        model_config_poll_seconds: seconds between two looks at that file; 0 reads it once.
        batching_parameters_file: how windows of several requests are computed together, in
            TensorFlow Serving's text format; None takes the defaults of this package.
        batching: False computes each request by itself.
        reload_requests: whether a client may change which models are served; None lets those of
            this machine do so, that is where the server listens on loopback or a socket alone.
        ssl_config_file: the server's key and certificate, and whose clients it takes, in TensorFlow
            Serving's text format, for the port and the socket alike; plain text if None.
        metrics_port: TCP port on ``host`` for Prometheus, 0 for a free one; none if None.
        log_format: lines of words and ``key=value`` pairs, or one JSON object a line.
        log_level: minimum level of the log lines written; debug logs each request.
        inter_op_threads: operations that one session runs side by side; 0 lets TensorFlow choose.
        intra_op_threads: threads inside one operation; 0 lets TensorFlow choose. TensorFlow shares
            both pools among the sessions of a process, so the first one in a process decides.
            2 and 1 were measured on two cores for the exported network (benchmarks/forward.py).
        poll_seconds: seconds between two looks at the model's folder.
        drain_seconds: how long a stop waits for requests that are being answered.
        max_receive_bytes: the longest request message; a longer one is RESOURCE_EXHAUSTED.
        max_send_bytes: the longest response message.
        workers: requests that are answered at the same time, each by a thread that waits for its
            batch; as many as clients whose windows are to be computed together, and then some.
        max_requests: requests that are being answered or wait; one more is RESOURCE_EXHAUSTED.
        tensor_content: write outputs as raw bytes (TensorFlow Serving's
            ``--enable_serialization_as_tensor_content``) instead of typed values.
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
        """Whether HandleReloadConfigRequest is answered, or refused with PERMISSION_DENIED."""
        if self.reload_requests is not None:
            return self.reload_requests
        return self.port is None or is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Return whether `host` is reached from this machine alone, by its address or usual name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
