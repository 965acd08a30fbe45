"""One served model: polls its folder, loads new versions and switches to them.

A change has two steps, so that several models change together or not at all. First, the new
versions are loaded and warmed up while the old ones still serve (:meth:`HostedModel.prepare`). Then
all models switch at once (:meth:`HostedModel.commit`).
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
from tunesmith.serving.versions import LoadedVersion, State, Versions, VersionStatus

_LOG = logging.getLogger(__name__)
_INTERNAL = 13

Load = Callable[[str, int, Path], Servable]


@dataclass
class PendingVersions:
    """Result of preparing a configuration, not yet in effect.

    Attributes:
        config: the configuration.
        serving: versions that are ready to serve, by version number.
        broken: statuses of the versions that failed to load.
    """

    config: ModelConfig
    serving: dict[int, LoadedVersion] = field(default_factory=dict)
    broken: list[VersionStatus] = field(default_factory=list)


class HostedModel:
    """A model name, its configuration and its loaded versions.

    Many threads use `versions`; the methods of this class are called by one thread at a time.

    Attributes:
        name: name of the model in requests.
        config: current configuration; None if the model is not served.
        versions: the loaded versions.
    """

    def __init__(self, name: str, load: Load) -> None:
        """Create a model without any served version.

        Args:
            name: name of the model in requests.
            load: loads and warms up the servable of (model name, version, folder), or raises
                ModelNotLoadable.
        """
        self.name = name
        self.config: ModelConfig | None = None
        self.versions = Versions(name)
        self._load = load
        self._failed: dict[Path, tuple[Fingerprint, VersionStatus]] = {}
        self._folder_gone = False

    def prepare(self, config: ModelConfig, *, retry: bool) -> PendingVersions:
        """Load the versions of `config` while the current versions still serve.

        Args:
            config: the new configuration.
            retry: load a version that failed before, even if its files have not changed.

        Raises:
            ModelFolderMissing: the base path is not a folder.
            ModelVersionMissing: the base path has none of the requested versions.
            ModelNotLoadable: no version loads; the message is about the newest one.
            LabelNotAssignable: a label refers to a version that would not be served.
        """
        found = config.require_versions()
        if retry:
            self._failed.clear()
        prepared = self._load_missing(config, found)
        try:
            self._validate(prepared, found)
        except ServingError:
            self.discard(prepared)
            raise
        return prepared

    def commit(self, prepared: PendingVersions) -> None:
        """Switch to the prepared versions and labels in one step."""
        self.config = prepared.config
        for each in prepared.broken:
            _LOG.warning(
                "version broken",
                extra={"model": self.name, "version": each.version, "reason": each.message},
            )
        self.versions.take_over(prepared.serving, prepared.config.labels)

    def discard(self, prepared: PendingVersions) -> None:
        """Unload prepared versions that are not going to serve."""
        serving = self.versions.serving()
        for number, each in prepared.serving.items():
            if serving.get(number) is not each:
                each.servable.close()
                self.versions.report(VersionStatus(number, State.END))

    def refresh(self) -> None:
        """Poll the folder once: load new versions and unload removed ones.

        An unreadable folder changes nothing, because it may be a mount that comes back. If the
        folder has no version, the model is unloaded. If no version loads, the newest loaded version
        keeps serving, as in TensorFlow Serving's availability_preserving_policy.cc.
        """
        if self.config is None:
            return
        found = self._list_versions(self.config)
        if found is None:
            return
        prepared = self._load_missing(self.config, found)
        serving = self.versions.serving()
        if found and not prepared.serving and serving:
            prepared.serving[max(serving)] = serving[max(serving)]
        self.commit(prepared)

    def close(self) -> None:
        """Unload all versions and stop serving the model."""
        self.config = None
        self.versions.take_over({}, {})

    def _list_versions(self, config: ModelConfig) -> dict[int, Path] | None:
        """Return the requested versions on disk, or None if the folder cannot be read."""
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

    def _load_missing(self, config: ModelConfig, found: dict[int, Path]) -> PendingVersions:
        """Load the versions of `found` that should serve and are not loaded."""
        prepared = PendingVersions(config)
        limit = len(found) if config.policy.limit is None else config.policy.limit
        kept = {
            number: each
            for number, each in self.versions.serving().items()
            if found.get(number) == each.path
        }
        loadable = [number for number, path in found.items() if path not in self._failed]
        for number in loadable[:limit]:
            if number not in kept:
                self.versions.report(VersionStatus(number, State.START))
        try:
            for number, path in found.items():
                if len(prepared.serving) == limit:
                    break
                each = kept.get(number) or self._load_version(number, path, prepared.broken)
                if each is not None:
                    prepared.serving[number] = each
        except BaseException:
            self.discard(prepared)
            raise
        return prepared

    def _load_version(
        self, number: int, path: Path, broken: list[VersionStatus]
    ) -> LoadedVersion | None:
        """Load a version; on failure return None and append its status to `broken`.

        A version that failed before is not loaded again until its files change.
        """
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
        return LoadedVersion(servable, path)

    def _validate(self, prepared: PendingVersions, found: dict[int, Path]) -> None:
        """Raise if no version loaded, or if a label refers to a version that is not served."""
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
                # The message is that of TensorFlow Serving's server_core.cc.
                raise LabelNotAssignable(
                    f"Request to assign label to version {number} of model {self.name}, which is "
                    "not currently available for inference"
                )
