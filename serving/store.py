"""The models of a server: found by a request's ``model_spec``, kept up to date by one thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager

from tunesmith.serving.model import Model, VersionStatus, servable_not_found
from tunesmith.serving.runtime import model_pb2
from tunesmith.serving.servable import Servable
from tunesmith.serving.status import invalid_argument, not_found

_LOG = logging.getLogger(__name__)


class ModelStore:
    """Models by name, polled for new versions while started."""

    def __init__(self, models: Iterable[Model], poll_seconds: float) -> None:
        """Hold models; nothing is loaded yet.

        Args:
            models: each with a name of its own.
            poll_seconds: seconds between two looks at the models' folders.
        """
        self._models = {model.name: model for model in models}
        self._poll_seconds = poll_seconds
        self._stopping = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="version-polling", daemon=True)

    def start(self) -> None:
        """Load every model, then keep looking for versions.

        Raises:
            ServingError: a model has no version that loads; nothing stays loaded then.
        """
        try:
            for model in self._models.values():
                model.load_first()
        except BaseException:
            self._unload()
            raise
        self._poller.start()

    def stop(self) -> None:
        """Stop polling and unload every model; requests still running keep theirs until done."""
        self._stopping.set()
        if self._poller.is_alive():
            self._poller.join()
        self._unload()

    def lease(self, spec: model_pb2.ModelSpec) -> AbstractContextManager[Servable]:
        """Return a context that holds the servable which `spec` names.

        Raises:
            RequestError: INVALID_ARGUMENT for an empty name or an unknown label, NOT_FOUND for a
                model or version that is not loaded (entering the context may raise it too).
        """
        if not spec.name:
            raise invalid_argument("ModelSpec has no name specified.")
        if spec.WhichOneof("version_choice") == "version_label":
            raise invalid_argument(f"Unrecognized servable version label: {spec.version_label}")
        version = spec.version.value if spec.HasField("version") else None
        model = self._models.get(spec.name)
        if model is None:
            raise servable_not_found(spec.name, version)
        return model.lease(version)

    def statuses(self, spec: model_pb2.ModelSpec) -> list[VersionStatus]:
        """Return the states of the versions that `spec` names, the newest first.

        A label is not looked at, as in TensorFlow Serving's get_model_status_impl.cc.

        Raises:
            RequestError: NOT_FOUND, no such model or version.
        """
        model = self._models.get(spec.name)
        found = model.statuses() if model is not None else []
        if spec.HasField("version"):
            number = spec.version.value
            found = [status for status in found if status.version == number]
            if not found:
                raise not_found(f"Could not find version {number} of model {spec.name}")
        if not found:
            raise not_found(f"Could not find any versions of model {spec.name}")
        return found

    def _poll(self) -> None:
        while not self._stopping.wait(self._poll_seconds):
            for model in self._models.values():
                try:
                    model.refresh()
                except Exception:  # noqa: BLE001
                    # Logged in full: one folder's surprise must not end the polling of all.
                    _LOG.exception("polling failed model=%s", model.name)

    def _unload(self) -> None:
        for model in self._models.values():
            model.close()
