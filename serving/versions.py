"""The loaded versions of one model, their requests and their statuses.

Independent of folders and of loading.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from tunesmith.serving.servable import Servable
from tunesmith.serving.status import RequestError, invalid_argument, not_found

_LOG = logging.getLogger(__name__)


class State(IntEnum):
    """State of a version; the numbers are those of ``ModelVersionStatus.State``."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True)
class VersionStatus:
    """Status of one version for GetModelStatus; `code` is a gRPC status code number, 0 is OK."""

    version: int
    state: State
    code: int = 0
    message: str = ""


@dataclass(eq=False)
class LoadedVersion:
    """A loaded servable.

    Attributes:
        servable: the servable.
        path: version folder.
        running: number of requests that use it.
        retired: True if it no longer serves and is to be freed after its last request.
    """

    servable: Servable
    path: Path
    running: int = 0
    retired: bool = False


class Versions:
    """The serving versions of a model; its methods may be called from many threads."""

    def __init__(self, name: str) -> None:
        """Create an empty set of versions for the model `name`."""
        self._name = name
        self._lock = threading.Lock()
        self._serving: dict[int, LoadedVersion] = {}
        self._labels: Mapping[str, int] = {}
        self._statuses: dict[int, VersionStatus] = {}

    def serving(self) -> dict[int, LoadedVersion]:
        """Return the serving versions by number."""
        with self._lock:
            return dict(self._serving)

    def statuses(self) -> list[VersionStatus]:
        """Return the status of each version seen so far, the newest first."""
        with self._lock:
            return [self._statuses[number] for number in sorted(self._statuses, reverse=True)]

    def report(self, status: VersionStatus) -> None:
        """Set the status of a version; a serving version stays AVAILABLE."""
        with self._lock:
            if status.version not in self._serving:
                self._statuses[status.version] = status

    @contextmanager
    def lease(self, version: int | None, label: str | None) -> Iterator[Servable]:
        """Keep a version loaded: the one of this number or label, or else the newest.

        Raises:
            RequestError: NOT_FOUND if the version is not loaded, INVALID_ARGUMENT if the label is
                unknown.
        """
        with self._lock:
            held = self._find(version, label)
            held.running += 1
        try:
            yield held.servable
        finally:
            with self._lock:
                held.running -= 1
                last = held.retired and held.running == 0
            if last:
                self._free(held)

    def take_over(self, serving: dict[int, LoadedVersion], labels: Mapping[str, int]) -> None:
        """Replace the serving versions and labels in one step.

        A version that no longer serves is freed after its last request.
        """
        with self._lock:
            old = self._serving
            self._serving, self._labels = dict(serving), dict(labels)
            for number in serving:
                self._statuses[number] = VersionStatus(number, State.AVAILABLE)
            gone = [each for number, each in old.items() if serving.get(number) is not each]
            for each in gone:
                each.retired = True
                number = each.servable.version
                if number not in serving:
                    self._statuses[number] = VersionStatus(number, State.UNLOADING)
            idle = [each for each in gone if each.running == 0]
        for each in idle:
            self._free(each)

    def _find(self, version: int | None, label: str | None) -> LoadedVersion:
        if label is not None:
            version = self._labels.get(label)
            if version is None:
                raise unrecognized_label(label)
        number = max(self._serving, default=None) if version is None else version
        if number is None or number not in self._serving:
            raise servable_not_found(self._name, version)
        return self._serving[number]

    def _free(self, old: LoadedVersion) -> None:
        old.servable.close()
        number = old.servable.version
        with self._lock:
            # The same version may have been loaded again while its last request was running.
            if self._statuses[number].state is State.UNLOADING:
                self._statuses[number] = VersionStatus(number, State.END)
        _LOG.info("version unloaded", extra={"model": self._name, "version": number})


def servable_not_found(name: str, version: int | None) -> RequestError:
    """Return NOT_FOUND with the message of TensorFlow Serving's ``ServableRequest``."""
    request = f"Latest({name})" if version is None else f"Specific({name}, {version})"
    return not_found(f"Servable not found for request: {request}")


def unrecognized_label(label: str) -> RequestError:
    """Return INVALID_ARGUMENT with the message of TensorFlow Serving's server_core.cc."""
    return invalid_argument(f"Unrecognized servable version label: {label}")
