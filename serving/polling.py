"""Periodic polling in a background thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

_LOG = logging.getLogger(__name__)


class Polling:
    """Calls a function at a fixed interval, from start to stop."""

    def __init__(self, name: str, seconds: float, poll: Callable[[], None]) -> None:
        """Call `poll` every `seconds` seconds, in a thread named `name`."""
        self._name = name
        self._seconds = seconds
        self._poll = poll
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread; the first call is `seconds` later."""
        self._thread.start()

    def stop(self) -> None:
        """Stop polling; wait for a call that is running."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._seconds):
            try:
                self._poll()
            except Exception:  # noqa: BLE001
                # Logged with its traceback: an unexpected error must not stop the polling.
                _LOG.exception("polling failed", extra={"poll": self._name})
