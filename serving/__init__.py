"""Everything that hosts an exported model: the embedded server, the engines, their settings.

Importing this package imports gRPC but not TensorFlow; that waits until a server starts.
"""

from tunesmith.serving.engines import (
    DockerImage,
    Engine,
    EngineChoice,
    choose_engine,
    docker_command,
    program_command,
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
    "DockerImage",
    "EmbeddedServer",
    "Engine",
    "EngineChoice",
    "EngineMissing",
    "ExtraMissing",
    "LabelNotAssignable",
    "ModelFolderMissing",
    "ModelNotLoadable",
    "ModelVersionMissing",
    "ServerOptions",
    "ServingError",
    "choose_engine",
    "docker_command",
    "program_command",
    "serve",
]
