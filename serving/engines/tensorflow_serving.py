"""TensorFlow Serving's own program, ``tensorflow_model_server``, on this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

from tunesmith.serving.engines.engine import Engine, EngineOptions
from tunesmith.serving.flags import (
    BATCHING_PARAMETERS,
    PROGRAM,
    ProgramEnvironment,
    absolute,
    base_paths,
    limit,
    single_model,
    tensorflow_serving_flags,
)


class TensorFlowServingEngine(Engine):
    """``tensorflow_model_server`` on PATH: the quickest engine, without a container."""

    preference = 30
    # The program has no flag for a network interface.
    keeps_host = False

    def unavailable(self, options: EngineOptions) -> str | None:
        """Return what an option asks in vain, or that the program is not on PATH; None if ready."""
        if shutil.which(PROGRAM) is None:
            return f"{PROGRAM} is not on PATH: install TensorFlow Serving or use --engine embedded"
        return limit(options)

    def command(self, model_dir: Path | None, options: EngineOptions) -> list[str]:
        """Return the command line of ``tensorflow_model_server``.

        Raises:
            EngineLimit: TensorFlow Serving does not support an option.
            ConfigInvalid: the model configuration file is wrong.
        """
        if options.model_config_file is not None:
            base_paths(options.model_config_file)
        environment = ProgramEnvironment(
            port=options.port or 0,
            metrics_port=options.metrics_port or 0,
            base_path=single_model(model_dir, options),
            batching=BATCHING_PARAMETERS,
            path=absolute,
            socket=absolute,
        )
        return [PROGRAM, *tensorflow_serving_flags(options, environment)]


ENGINE = TensorFlowServingEngine()
