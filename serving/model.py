"""One served model: which of its versions on disk is loaded, and who is still using an old one.

The newest version that loads is the one that serves. A new one is loaded and warmed up beside the
old one and takes over in one step; the old one's session is freed when its last request is done.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from tunesmith.serving.errors import ModelNotLoadable, ModelVersionMissing
from tunesmith.serving.folder import Fingerprint, fingerprint, require_versions, versions_in
from tunesmith.serving.servable import Servable
from tunesmith.serving.status import RequestError, not_found

_LOG = logging.getLogger(__name__)


class State(IntEnum):
    """Where a version is in its life; the numbers are ``ModelVersionStatus.State``'s."""

    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True)
class VersionStatus:
    """What GetModelStatus says of one version; `code` is a gRPC status code number, 0 for OK."""

    version: int
    state: State
    code: int = 0
    message: str = ""


@dataclass
class _Loaded:
    """A servable with the number of requests inside it; guarded by the model's lock."""

    servable: Servable
    running: int = 0
    retired: bool = False


class Model:
    """The versions of one model, by TensorFlow Serving's "latest" policy."""

    def __init__(self, name: str, base: Path, load: Callable[[int, Path], Servable]) -> None:
        """Follow a model; nothing is loaded yet.

        Args:
            name: the model's name in requests.
            base: the folder that holds ``<version>/saved_model.pb``.
            load: makes a servable, loaded and warmed up, or raises ModelNotLoadable.
        """
        self.name = name
        self.base = base
        self._load = load
        self._lock = threading.Lock()
        self._current: _Loaded | None = None
        self._statuses: dict[int, VersionStatus] = {}
        self._failed: dict[int, Fingerprint] = {}
        self._folder_gone = False

    def load_first(self) -> None:
        """Load the newest version that loads.

        Raises:
            ModelFolderMissing: the base path is not a folder.
            ModelVersionMissing: no version is in it.
            ModelNotLoadable: there are versions, and none loads; the message is the newest one's.
        """
        require_versions(self.base)
        broken = self._look()
        if self._current is not None:
            self._report(broken)
            return
        if not broken:
            raise ModelVersionMissing(f"{self.base} lost its last version just now: export one")
        newest = broken[0]
        raise ModelNotLoadable(
            f"version {newest.version} of model {self.name} in {self.base} does not load: "
            f"{newest.message}",
            newest.code,
        )

    def refresh(self) -> None:
        """Look at the folder once and act on it; called by one thread at a time.

        A folder that cannot be read changes nothing: it may be a mount that comes back.
        """
        self._report(self._look())

    @contextmanager
    def lease(self, version: int | None) -> Iterator[Servable]:
        """Hold a version, the serving one where `version` is None, so that it is not freed.

        Raises:
            RequestError: NOT_FOUND, that version is not loaded.
        """
        with self._lock:
            held = self._current
            if held is None or version not in (None, held.servable.version):
                raise servable_not_found(self.name, version)
            held.running += 1
        try:
            yield held.servable
        finally:
            with self._lock:
                held.running -= 1
                last = held.retired and held.running == 0
            if last:
                self._free(held)

    def statuses(self) -> list[VersionStatus]:
        """Return the state of each version seen so far, the newest first."""
        with self._lock:
            return [self._statuses[number] for number in sorted(self._statuses, reverse=True)]

    def close(self) -> None:
        """Unload whatever serves."""
        self._take_over(None)

    def _look(self) -> list[VersionStatus]:
        """Follow the folder, and return the versions found broken just now."""
        try:
            found = versions_in(self.base)
        except OSError as error:
            if not self._folder_gone:
                _LOG.warning(
                    "model folder unreadable model=%s path=%s reason=%s",
                    self.name,
                    self.base,
                    error.strerror,
                )
            self._folder_gone = True
            return []
        self._folder_gone = False
        for number in self._failed.keys() - found.keys():
            del self._failed[number]
        broken: list[VersionStatus] = []
        self._take_over(self._newest_that_loads(found, broken))
        return broken

    def _report(self, broken: list[VersionStatus]) -> None:
        for each in broken:
            _LOG.warning(
                "version broken model=%s version=%d reason=%s",
                self.name,
                each.version,
                each.message,
            )

    def _newest_that_loads(
        self, found: dict[int, Path], broken: list[VersionStatus]
    ) -> _Loaded | None:
        """Return the version to serve, loaded; append those that fail on the way to `broken`."""
        for number, path in found.items():
            if self._current is not None and self._current.servable.version == number:
                return self._current
            seen = fingerprint(path)
            if self._failed.get(number) == seen:
                continue
            try:
                return _Loaded(self._load_version(number, path))
            except ModelNotLoadable as error:
                self._failed[number] = seen
                broken.append(VersionStatus(number, State.END, error.code, str(error)))
                self._set(broken[-1])
        return None

    def _load_version(self, number: int, path: Path) -> Servable:
        self._set(VersionStatus(number, State.LOADING))
        started = time.monotonic()
        servable = self._load(number, path)
        self._failed.pop(number, None)
        _LOG.info(
            "version loaded model=%s version=%d seconds=%.2f",
            self.name,
            number,
            time.monotonic() - started,
        )
        return servable

    def _take_over(self, successor: _Loaded | None) -> None:
        with self._lock:
            old = self._current
            if old is successor:
                return
            self._current = successor
            if successor is not None:
                number = successor.servable.version
                self._statuses[number] = VersionStatus(number, State.AVAILABLE)
            if old is None:
                return
            old.retired = True
            number = old.servable.version
            self._statuses[number] = VersionStatus(number, State.UNLOADING)
            idle = old.running == 0
        if idle:
            self._free(old)

    def _free(self, old: _Loaded) -> None:
        old.servable.close()
        number = old.servable.version
        with self._lock:
            # The same number may have been loaded again while the last request was running.
            if self._statuses[number].state is State.UNLOADING:
                self._statuses[number] = VersionStatus(number, State.END)
        _LOG.info("version unloaded model=%s version=%d", self.name, number)

    def _set(self, status: VersionStatus) -> None:
        with self._lock:
            self._statuses[status.version] = status


def servable_not_found(name: str, version: int | None) -> RequestError:
    """Return NOT_FOUND in the words of TensorFlow Serving's ``ServableRequest``."""
    request = f"Latest({name})" if version is None else f"Specific({name}, {version})"
    return not_found(f"Servable not found for request: {request}")
