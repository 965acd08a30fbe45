"""Something that is looked at again and again, in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

_LOG = logging.getLogger(__name__)


class Polling:
    """Calls a function every so many seconds, from start to stop."""

    def __init__(self, name: str, seconds: float, look: Callable[[], None]) -> None:
        """Name the thread `name` and call `look` each time `seconds` have passed."""
        self._name = name
        self._seconds = seconds
        self._look = look
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread; the first call is `seconds` from now."""
        self._thread.start()

    def stop(self) -> None:
        """Wait for a call that is running, and make no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._seconds):
            try:
                self._look()
            except Exception:  # noqa: BLE001
                # Logged in full: one surprise must not end the polling.
                _LOG.exception("polling failed", extra={"poll": self._name})
