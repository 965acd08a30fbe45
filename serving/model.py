"""One served model: its folder is followed, its versions are loaded and take over.

A change has two steps, so that several models can change together or not at all: new versions are
loaded and warmed up beside the serving ones (:meth:`Model.prepare`), then all of them take over at
once (:meth:`Model.commit`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tunesmith.serving.errors import (
    LabelNotAssignable,
    ModelNotLoadable,
    ServingError,
)
from tunesmith.serving.folder import Fingerprint, fingerprint, versions_in
from tunesmith.serving.model_config import ModelConfig
from tunesmith.serving.servable import Servable
from tunesmith.serving.versions import Loaded, State, Versions, VersionStatus

_LOG = logging.getLogger(__name__)
_INTERNAL = 13

Load = Callable[[str, int, Path], Servable]


@dataclass
class Prepared:
    """Versions that are ready to serve under `config`, and those found broken on the way."""

    config: ModelConfig
    serving: dict[int, Loaded] = field(default_factory=dict)
    broken: list[VersionStatus] = field(default_factory=list)


class Model:
    """What is to be served under one name, and the versions that serve.

    Requests go to `versions`, from many threads; the methods here are called by one thread at a
    time.

    Attributes:
        name: the model's name in requests.
        config: what is to be served; None while nothing is.
        versions: those in memory.
    """

    def __init__(self, name: str, load: Load) -> None:
        """Make a model of which nothing is served yet.

        Args:
            name: the model's name in requests.
            load: makes a servable of (model name, version, folder), loaded and warmed up, or raises
                ModelNotLoadable.
        """
        self.name = name
        self.config: ModelConfig | None = None
        self.versions = Versions(name)
        self._load = load
        self._failed: dict[Path, tuple[Fingerprint, VersionStatus]] = {}
        self._folder_gone = False

    def prepare(self, config: ModelConfig, *, retry: bool) -> Prepared:
        """Load what `config` asks for beside what serves; requests notice nothing.

        Args:
            config: what the model is to become.
            retry: load a version that failed before even if its files are still the same.

        Raises:
            ModelFolderMissing: the base path is not a folder.
            ModelVersionMissing: none of the versions asked for is in it.
            ModelNotLoadable: there are versions, and none loads; the message is the newest one's.
            LabelNotAssignable: a label is for a version that would not be served.
        """
        found = config.require_versions()
        if retry:
            self._failed.clear()
        prepared = self._ready(config, found)
        try:
            self._check(prepared, found)
        except ServingError:
            self.discard(prepared)
            raise
        return prepared

    def commit(self, prepared: Prepared) -> None:
        """Let the prepared versions take over, labels included, in one step."""
        self.config = prepared.config
        for each in prepared.broken:
            _LOG.warning(
                "version broken",
                extra={"model": self.name, "version": each.version, "reason": each.message},
            )
        self.versions.take_over(prepared.serving, prepared.config.labels)

    def discard(self, prepared: Prepared) -> None:
        """Unload what was prepared in vain."""
        serving = self.versions.serving()
        for number, each in prepared.serving.items():
            if serving.get(number) is not each:
                each.servable.close()
                self.versions.report(VersionStatus(number, State.END))

    def refresh(self) -> None:
        """Look at the folder once and act on it.

        A folder that cannot be read changes nothing: it may be a mount that comes back. A folder
        without versions unloads the model. One whose versions all fail to load leaves the newest in
        memory serving, as TensorFlow Serving's availability_preserving_policy.cc does.
        """
        if self.config is None:
            return
        found = self._look(self.config)
        if found is None:
            return
        prepared = self._ready(self.config, found)
        serving = self.versions.serving()
        if found and not prepared.serving and serving:
            prepared.serving[max(serving)] = serving[max(serving)]
        self.commit(prepared)

    def close(self) -> None:
        """Unload whatever serves, and serve nothing from here on."""
        self.config = None
        self.versions.take_over({}, {})

    def _look(self, config: ModelConfig) -> dict[int, Path] | None:
        """Return the versions on disk that are asked for; None where the folder is unreadable."""
        try:
            found = versions_in(config.base)
        except OSError as error:
            if not self._folder_gone:
                _LOG.warning(
                    "model folder unreadable",
                    extra={"model": self.name, "path": config.base, "reason": error.strerror},
                )
            self._folder_gone = True
            return None
        self._folder_gone = False
        for path in self._failed.keys() - set(found.values()):
            del self._failed[path]
        return config.policy.candidates(found)

    def _ready(self, config: ModelConfig, found: dict[int, Path]) -> Prepared:
        """Load those of `found` that are to serve and do not yet."""
        prepared = Prepared(config)
        most = len(found) if config.policy.most is None else config.policy.most
        kept = {
            number: each
            for number, each in self.versions.serving().items()
            if found.get(number) == each.path
        }
        sound = [number for number, path in found.items() if path not in self._failed]
        for number in sound[:most]:
            if number not in kept:
                self.versions.report(VersionStatus(number, State.START))
        try:
            for number, path in found.items():
                if len(prepared.serving) == most:
                    break
                each = kept.get(number) or self._try(number, path, prepared.broken)
                if each is not None:
                    prepared.serving[number] = each
        except BaseException:
            self.discard(prepared)
            raise
        return prepared

    def _try(self, number: int, path: Path, broken: list[VersionStatus]) -> Loaded | None:
        """Load a version, or append it to `broken`; None also where nothing changed since then."""
        seen = fingerprint(path)
        if path in self._failed and self._failed[path][0] == seen:
            return None
        self.versions.report(VersionStatus(number, State.LOADING))
        started = time.monotonic()
        try:
            servable = self._load(self.name, number, path)
        except ModelNotLoadable as error:
            status = VersionStatus(number, State.END, error.code, str(error))
            self._failed[path] = (seen, status)
            self.versions.report(status)
            broken.append(status)
            return None
        except BaseException as error:
            self.versions.report(VersionStatus(number, State.END, _INTERNAL, repr(error)))
            raise
        self._failed.pop(path, None)
        _LOG.info(
            "version loaded",
            extra={
                "model": self.name,
                "version": number,
                "seconds": round(time.monotonic() - started, 2),
            },
        )
        return Loaded(servable, path)

    def _check(self, prepared: Prepared, found: dict[int, Path]) -> None:
        """Raise where a model prepared for a new configuration does not live up to it."""
        config = prepared.config
        if not prepared.serving:
            newest = next(self._failed[path][1] for path in found.values() if path in self._failed)
            raise ModelNotLoadable(
                f"version {newest.version} of model {self.name} in {config.base} does not load: "
                f"{newest.message}",
                newest.code,
            )
        for number in config.labels.values():
            if number not in prepared.serving:
                # The words are those of TensorFlow Serving's server_core.cc.
                raise LabelNotAssignable(
                    f"Request to assign label to version {number} of model {self.name}, which is "
                    "not currently available for inference"
                )
