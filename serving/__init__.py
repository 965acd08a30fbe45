"""Model serving: the embedded server, the serving engines and their configuration.

Importing this package imports gRPC but not TensorFlow. TensorFlow is imported when a server starts.
"""

from tunesmith.serving.engines.engine import (
    Engine,
    EngineLimit,
    EngineOptions,
    EngineUnknown,
    InProcessEngine,
    choose_engine,
    engine_names,
    load_engine,
)
from tunesmith.serving.errors import (
    AddressUnavailable,
    ConfigInvalid,
    EngineMissing,
    ExtraMissing,
    LabelNotAssignable,
    ModelFolderMissing,
    ModelNotLoadable,
    ModelVersionMissing,
    ServingError,
)
from tunesmith.serving.foreground import serve
from tunesmith.serving.options import DEFAULT_MODEL_NAME, DEFAULT_PORT, ServerOptions
from tunesmith.serving.server import EmbeddedServer

__all__ = [
    "DEFAULT_MODEL_NAME",
    "DEFAULT_PORT",
    "AddressUnavailable",
    "ConfigInvalid",
    "EmbeddedServer",
    "Engine",
    "EngineLimit",
    "EngineMissing",
    "EngineOptions",
    "EngineUnknown",
    "ExtraMissing",
    "InProcessEngine",
    "LabelNotAssignable",
    "ModelFolderMissing",
    "ModelNotLoadable",
    "ModelVersionMissing",
    "ServerOptions",
    "ServingError",
    "choose_engine",
    "engine_names",
    "load_engine",
    "serve",
]
