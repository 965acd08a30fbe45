"""The embedded server as a foreground process that stops gracefully at a signal."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from tunesmith.serving.options import ServerOptions
from tunesmith.serving.server import EmbeddedServer

_LOG = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def serve(
    model_dir: Path | str | None,
    options: ServerOptions | None = None,
    *,
    ready: Callable[[EmbeddedServer], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then finish the running requests; for the command line.

    A second signal ends the process at once, with exit code 128 plus the signal number. A signal
    during loading stops the loading. Requests still running after ``drain_seconds`` are abandoned,
    and the exit code is 1. Must be called from the main thread.

    Args:
        model_dir: base path that contains ``<version>/saved_model.pb``; None if the options name a
            model configuration file.
        options: options of the server.
        ready: called once with the server, when it accepts requests.

    Raises:
        ServingError: as :meth:`EmbeddedServer.start`.
        KeyboardInterrupt, SystemExit: SIGINT or SIGTERM before the server accepts requests.
    """
    server = EmbeddedServer(model_dir, options)
    started, signalled = threading.Event(), threading.Event()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        # Always handled: the kernel gives process 1 of a container no default action.
        if not started.is_set():
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)
        if signalled.is_set():
            os._exit(128 + number)
        signalled.set()

    previous = {each: signal.signal(each, on_signal) for each in _SIGNALS}
    try:
        server.start()
        started.set()
        if ready is not None:
            ready(server)
        signalled.wait()
        server.stop()
        if server.in_flight:
            # At a normal exit Python would wait for the threads of the abandoned requests.
            _LOG.warning("requests abandoned", extra={"in_flight": server.in_flight})
            os._exit(1)
    finally:
        server.stop()
        for each, handler in previous.items():
            signal.signal(each, handler)
