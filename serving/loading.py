"""From a server's options to a store of loaded models.

Light to import: what can be found wrong on disk is found before TensorFlow's seconds of import.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.serving.errors import ModelFolderMissing, ServingError
from tunesmith.serving.folder import require_versions
from tunesmith.serving.options import ServerOptions

if TYPE_CHECKING:
    from tunesmith.serving.servable import Servable
    from tunesmith.serving.store import ModelStore


def require_models(model_dir: Path | None, options: ServerOptions) -> None:  # noqa: ARG001
    """Look at the models' folders without TensorFlow.

    Raises:
        ModelFolderMissing: no model was named, or its base path is not a folder.
        ModelVersionMissing: no version is in it.
    """
    require_versions(_named(model_dir))


def open_store(model_dir: Path | None, options: ServerOptions) -> ModelStore:
    """Load every model that the options name, and follow them from then on.

    Args:
        model_dir: the base path of the one model, served as ``options.model_name``.
        options: how sessions are made, and how often folders are looked at.

    Returns:
        A started store; the caller stops it.

    Raises:
        ServingError: what :func:`require_models` raises, or that no version of a model loads.
    """
    require_models(model_dir, options)
    from tunesmith.serving.model import Model
    from tunesmith.serving.store import ModelStore

    def load(version: int, path: Path) -> Servable:
        return _load(version, path, options)

    model = Model(options.model_name, _named(model_dir), load)
    store = ModelStore([model], options.poll_seconds)
    store.start()
    return store


def _named(model_dir: Path | None) -> Path:
    if model_dir is None:
        raise ModelFolderMissing("no model to serve: name the folder that holds its versions")
    return model_dir


def _load(version: int, path: Path, options: ServerOptions) -> Servable:
    """Return a version, loaded and warmed up.

    Raises:
        ModelNotLoadable: it does not load, or a warm-up request fails.
    """
    from tunesmith.serving.servable import Servable
    from tunesmith.serving.warmup import warm_up

    servable = Servable(
        version, path, inter_op=options.inter_op_threads, intra_op=options.intra_op_threads
    )
    try:
        warm_up(servable, path)
    except ServingError:
        servable.close()
        raise
    return servable
