"""The served models: looked up by ``model_spec``, changed together or not at all."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

from tunesmith.serving.errors import ServerStopping
from tunesmith.serving.model import HostedModel, Load, PendingVersions
from tunesmith.serving.model_config import ModelConfig
from tunesmith.serving.polling import Polling
from tunesmith.serving.runtime import model_pb2
from tunesmith.serving.servable import Servable
from tunesmith.serving.status import invalid_argument, not_found
from tunesmith.serving.versions import VersionStatus, servable_not_found, unrecognized_label

_LOG = logging.getLogger(__name__)


class ModelStore:
    """Served models by name; their folders are polled for new versions while started.

    A name is only a key: no path is built from data of a request.
    """

    def __init__(self, load: Load, poll_seconds: float) -> None:
        """Create an empty store.

        Args:
            load: loads and warms up the servable of (model name, version, folder), or raises
                ModelNotLoadable.
            poll_seconds: interval at which the model folders are polled.
        """
        self._load = load
        # The dict is replaced, never changed, so that requests can read it without a lock. A
        # removed model stays in it, because GetModelStatus still reports its versions.
        self._models: dict[str, HostedModel] = {}
        self._changing = threading.Lock()
        self._stopping = False
        self._polls = [Polling("version-polling", poll_seconds, self._refresh)]

    def poll(self, name: str, seconds: float, poll: Callable[[], None]) -> None:
        """Call `poll` too, every `seconds` seconds from start to stop, in a thread `name`."""
        self._polls.append(Polling(name, seconds, poll))

    def start(self) -> None:
        """Start polling for new versions."""
        for each in self._polls:
            each.start()

    def stop(self) -> None:
        """Stop polling and unload every model; running requests keep theirs until they finish."""
        self._stopping = True
        for each in self._polls:
            each.stop()
        with self._changing:
            for model in self._models.values():
                model.close()

    def reload(self, configs: Iterable[ModelConfig], *, retry: bool = True) -> None:
        """Replace the served models by `configs`; if one of them fails, change nothing.

        Returns when each model has a version that serves. Models whose configuration has not
        changed are not touched.

        Args:
            configs: configurations with different names.
            retry: load versions that failed before, even if their files have not changed.

        Raises:
            ServingError: as :meth:`HostedModel.prepare`.
            ServerStopping: :meth:`stop` was called.
        """
        wanted = {config.name: config for config in configs}
        with self._changing:
            new = {
                name: HostedModel(name, self._load) for name in wanted if name not in self._models
            }
            self._models = {**self._models, **new}
            prepared: list[tuple[HostedModel, PendingVersions]] = []
            try:
                for name, config in wanted.items():
                    if self._stopping:
                        raise ServerStopping("the server is stopping: use another server")
                    model = self._models[name]
                    if model.config != config:
                        prepared.append((model, model.prepare(config, retry=retry)))
            except BaseException:
                for model, each in prepared:
                    model.discard(each)
                raise
            for model, each in prepared:
                model.commit(each)
                _LOG.info("model configured", extra={"model": model.name, "path": each.config.base})
            for name, model in self._models.items():
                if name not in wanted and model.config is not None:
                    model.close()
                    _LOG.info("model removed", extra={"model": name})

    def lease(self, spec: model_pb2.ModelSpec) -> AbstractContextManager[Servable]:
        """Return a context manager that keeps the servable of `spec` loaded.

        Raises:
            RequestError: INVALID_ARGUMENT for an empty name or an unknown label, NOT_FOUND for a
                model or version that is not loaded (also when the context is entered).
        """
        if not spec.name:
            raise invalid_argument("ModelSpec has no name specified.")
        labelled = spec.WhichOneof("version_choice") == "version_label"
        label = spec.version_label if labelled else None
        version = spec.version.value if spec.HasField("version") else None
        model = self._models.get(spec.name)
        if model is None:
            if label is not None:
                raise unrecognized_label(label)
            raise servable_not_found(spec.name, version)
        return model.versions.lease(version, label)

    def statuses(self, spec: model_pb2.ModelSpec) -> list[VersionStatus]:
        """Return the statuses of the versions of `spec`, the newest first.

        A label is ignored, as in TensorFlow Serving's get_model_status_impl.cc.

        Raises:
            RequestError: NOT_FOUND: no such model or version.
        """
        model = self._models.get(spec.name)
        found = model.versions.statuses() if model is not None else []
        if spec.HasField("version"):
            number = spec.version.value
            found = [status for status in found if status.version == number]
            if not found:
                raise not_found(f"Could not find version {number} of model {spec.name}")
        if not found:
            raise not_found(f"Could not find any versions of model {spec.name}")
        return found

    def available(self) -> dict[str, list[int]]:
        """Return the numbers of the serving versions by model name."""
        found = {name: sorted(model.versions.serving()) for name, model in self._models.items()}
        return {name: numbers for name, numbers in found.items() if numbers}

    def _refresh(self) -> None:
        for model in self._models.values():
            with self._changing:
                try:
                    model.refresh()
                except Exception:  # noqa: BLE001
                    # Logged with its traceback: an unexpected error must not stop other models.
                    _LOG.exception("polling failed", extra={"model": model.name})
