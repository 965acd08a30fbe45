"""From a server's options to a store of loaded models.

Light to import: what can be found wrong on disk is found before TensorFlow's seconds of import.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.serving import batching_parameters
from tunesmith.serving.batching_parameters import BatchingParameters
from tunesmith.serving.errors import ModelFolderMissing, ServingError
from tunesmith.serving.model_config import ModelConfig
from tunesmith.serving.model_config_file import ModelConfigFile, Models, parse, read
from tunesmith.serving.options import ServerOptions

if TYPE_CHECKING:
    from tunesmith.serving.servable import Servable
    from tunesmith.serving.store import ModelStore


def require_models(model_dir: Path | None, options: ServerOptions) -> None:
    """Look at the model configuration and the models' folders without TensorFlow.

    Raises:
        ConfigInvalid: a configuration file cannot be read or is wrong.
        ModelFolderMissing: no model was named, or a base path is not a folder.
        ModelVersionMissing: none of the versions to be served is in it.
    """
    batching_parameters.parameters(options)
    file = options.model_config_file
    models = parse(read(file), file) if file is not None else _one_model(model_dir, options)
    for config in models:
        config.require_versions()


def open_store(model_dir: Path | None, options: ServerOptions) -> ModelStore:
    """Load every model that the options name, and follow them from then on.

    Args:
        model_dir: the base path of the one model, served as ``options.model_name``; not looked at
            where the options name a configuration file.
        options: how sessions are made, and how often folders and that file are looked at.

    Returns:
        A started store; the caller stops it.

    Raises:
        ServingError: what :func:`require_models` raises, or that no version of a model loads.
    """
    require_models(model_dir, options)
    from tunesmith.serving.store import ModelStore

    batching = batching_parameters.parameters(options)

    def load(_name: str, version: int, path: Path) -> Servable:
        return _load(version, path, options, batching)

    store = ModelStore(load, options.poll_seconds)
    if options.model_config_file is None:
        store.reload(_one_model(model_dir, options))
    else:
        file = ModelConfigFile(options.model_config_file)
        file.apply(store.reload)
        if options.model_config_poll_seconds > 0:

            def look() -> None:
                # A version that failed is left alone until its files change.
                file.follow(lambda models: store.reload(models, retry=False))

            store.poll("config-polling", options.model_config_poll_seconds, look)
    store.start()
    return store


def _one_model(model_dir: Path | None, options: ServerOptions) -> Models:
    if model_dir is None:
        raise ModelFolderMissing("no model to serve: name the folder that holds its versions")
    return (ModelConfig(options.model_name, model_dir),)


def _load(
    version: int, path: Path, options: ServerOptions, batching: BatchingParameters | None
) -> Servable:
    """Return a version, loaded and warmed up.

    Raises:
        ModelNotLoadable: it does not load, or a warm-up request fails.
    """
    from tunesmith.serving import metrics
    from tunesmith.serving.servable import Servable
    from tunesmith.serving.warmup import warm_up

    with metrics.load_tried(str(path)):
        servable = Servable(
            version,
            path,
            inter_op=options.inter_op_threads,
            intra_op=options.intra_op_threads,
            batching=batching,
        )
    started = time.perf_counter()
    try:
        if warm_up(servable, path):
            metrics.warmed_up(str(path), time.perf_counter() - started)
    except ServingError:
        servable.close()
        raise
    return servable
