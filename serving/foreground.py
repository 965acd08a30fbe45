"""A server as a program of its own: it serves until a signal, and ends well."""

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
    """Serve until SIGTERM or SIGINT, then let running requests finish; for the command line.

    A second signal does not wait for them: it ends the process, with the exit code 128 and its
    number. One that comes while the models are loading ends the loading. Requests that outlast
    ``drain_seconds`` end with the process, whose exit code is 1 then. Only the main thread may call
    this.

    Args:
        model_dir: the base path that holds ``<version>/saved_model.pb``; None where the options
            name a model configuration.
        options: how the server is set up.
        ready: called once with the server when it answers.

    Raises:
        ServingError: what :meth:`EmbeddedServer.start` raises.
        KeyboardInterrupt, SystemExit: SIGINT or SIGTERM came before the server answered.
    """
    server = EmbeddedServer(model_dir, options)
    started, signalled = threading.Event(), threading.Event()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        # Handled here at all times: a container's first process is spared the default action.
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
            # Python would wait at its end for the threads that compute for nobody any more.
            _LOG.warning("requests abandoned", extra={"in_flight": server.in_flight})
            os._exit(1)
    finally:
        server.stop()
        for each, handler in previous.items():
            signal.signal(each, handler)
