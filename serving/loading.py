"""Model loading: opens a :class:`ModelStore` from the options of a server.

This module imports TensorFlow only after files and folders have been checked, so that errors in
them are reported without that delay.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.serving import batching_parameters
from tunesmith.serving.batching_parameters import BatchingParameters
from tunesmith.serving.errors import ModelFolderMissing, ServingError
from tunesmith.serving.model_config import ModelConfig
from tunesmith.serving.model_config_file import ModelConfigFile, ModelConfigs, parse, read
from tunesmith.serving.options import ServerOptions

if TYPE_CHECKING:
    from tunesmith.serving.servable import Servable
    from tunesmith.serving.store import ModelStore


def require_models(model_dir: Path | None, options: ServerOptions) -> None:
    """Check the configuration files and the model folders, without TensorFlow.

    Raises:
        ConfigInvalid: a configuration file cannot be read or is invalid.
        ModelFolderMissing: no model folder was given, or a base path is not a folder.
        ModelVersionMissing: a base path has none of the versions to serve.
    """
    batching_parameters.parameters(options)
    file = options.model_config_file
    models = parse(read(file), file) if file is not None else _one_model(model_dir, options)
    for config in models:
        config.require_versions()


def open_store(model_dir: Path | None, options: ServerOptions) -> ModelStore:
    """Load all configured models and start polling for changes.

    Args:
        model_dir: base path of the model to serve as ``options.model_name``; ignored if the options
            name a model configuration file.
        options: options of the server, including session threads and polling intervals.

    Returns:
        A started store; the caller must stop it.

    Raises:
        ServingError: as :func:`require_models`, or no version of a model loads.
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

            def poll() -> None:
                # A version that failed to load is not retried until its files change.
                file.follow(lambda models: store.reload(models, retry=False))

            store.poll("config-polling", options.model_config_poll_seconds, poll)
    store.start()
    return store


def _one_model(model_dir: Path | None, options: ServerOptions) -> ModelConfigs:
    if model_dir is None:
        raise ModelFolderMissing(
            "no model folder: give the folder that contains <version>/saved_model.pb"
        )
    return (ModelConfig(options.model_name, model_dir),)


def _load(
    version: int, path: Path, options: ServerOptions, batching: BatchingParameters | None
) -> Servable:
    """Load and warm up a version.

    Raises:
        ModelNotLoadable: the version does not load, or a warm-up request fails.
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
