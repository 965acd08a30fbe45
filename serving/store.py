"""The models of a server: found by a request's ``model_spec``, changed together or not at all."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

from tunesmith.serving.errors import ServerStopping
from tunesmith.serving.model import Load, Model, Prepared
from tunesmith.serving.model_config import ModelConfig
from tunesmith.serving.polling import Polling
from tunesmith.serving.runtime import model_pb2
from tunesmith.serving.servable import Servable
from tunesmith.serving.status import invalid_argument, not_found
from tunesmith.serving.versions import VersionStatus, servable_not_found, unrecognized_label

_LOG = logging.getLogger(__name__)


class ModelStore:
    """Models by name, polled for new versions while started.

    A name is a key here and nothing else: no path is ever made of what a request says.
    """

    def __init__(self, load: Load, poll_seconds: float) -> None:
        """Hold no model yet.

        Args:
            load: makes a servable of (model name, version, folder), loaded and warmed up, or raises
                ModelNotLoadable.
            poll_seconds: seconds between two looks at the models' folders.
        """
        self._load = load
        # Replaced, never changed, so that requests read it without a lock. A model that is served
        # no more stays, for its versions' states.
        self._models: dict[str, Model] = {}
        self._changing = threading.Lock()
        self._stopping = False
        self._polls = [Polling("version-polling", poll_seconds, self._refresh)]

    def poll(self, name: str, seconds: float, look: Callable[[], None]) -> None:
        """Call `look` every so many seconds as well, from start to stop, in a thread `name`."""
        self._polls.append(Polling(name, seconds, look))

    def start(self) -> None:
        """Keep looking for new versions from here on."""
        for each in self._polls:
            each.start()

    def stop(self) -> None:
        """Stop polling and unload every model; requests still running keep theirs until done."""
        self._stopping = True
        for each in self._polls:
            each.stop()
        with self._changing:
            for model in self._models.values():
                model.close()

    def reload(self, configs: Iterable[ModelConfig], *, retry: bool = True) -> None:
        """Serve these models and no others, or change nothing if one of them cannot be had.

        Returns once each of them has a version that serves. Models whose configuration is the one
        they have are left alone.

        Args:
            configs: each with a name of its own.
            retry: load versions that failed before even if their files are still the same.

        Raises:
            ServingError: what :meth:`Model.prepare` raises.
            ServerStopping: :meth:`stop` was called.
        """
        wanted = {config.name: config for config in configs}
        with self._changing:
            new = {name: Model(name, self._load) for name in wanted if name not in self._models}
            self._models = {**self._models, **new}
            prepared: list[tuple[Model, Prepared]] = []
            try:
                for name, config in wanted.items():
                    if self._stopping:
                        raise ServerStopping("the server is stopping: ask another one")
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
        """Return a context that holds the servable which `spec` names.

        Raises:
            RequestError: INVALID_ARGUMENT for an empty name or an unknown label, NOT_FOUND for a
                model or version that is not loaded (entering the context may raise it too).
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
        """Return the states of the versions that `spec` names, the newest first.

        A label is not looked at, as in TensorFlow Serving's get_model_status_impl.cc.

        Raises:
            RequestError: NOT_FOUND, no such model or version.
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
        """Return the numbers of the versions that serve, of each model that has one."""
        found = {name: sorted(model.versions.serving()) for name, model in self._models.items()}
        return {name: numbers for name, numbers in found.items() if numbers}

    def _refresh(self) -> None:
        for model in self._models.values():
            with self._changing:
                try:
                    model.refresh()
                except Exception:  # noqa: BLE001
                    # Logged in full: one model's surprise must not keep the others from polling.
                    _LOG.exception("polling failed", extra={"model": model.name})
