"""Model configuration from TensorFlow Serving's ModelServerConfig messages.

They come from a text file (``--model-config-file``) or from a ReloadConfigRequest. TensorFlow is
not imported, so an invalid file is refused without that delay. Error messages that begin with a
capital letter are those of TensorFlow Serving's server_core.cc.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from tunesmith.serving.errors import ConfigInvalid, ExtraMissing, ServingError
from tunesmith.serving.model_config import ModelConfig, VersionPolicy

_LOG = logging.getLogger(__name__)
_PLATFORM = "tensorflow"
# ModelType.TENSORFLOW of model_server_config.proto, deprecated in favour of model_platform.
_TENSORFLOW = 1
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")

ModelConfigs = tuple[ModelConfig, ...]


class ModelConfigFile:
    """A model configuration file that is polled while the server runs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._applied: bytes | None = None
        self._last_error: str | None = None

    def apply(self, use: Callable[[ModelConfigs], None]) -> None:
        """Read the file and call `use` with its models.

        Raises:
            ConfigInvalid: the file cannot be read or is invalid.
            Exception: any exception of `use`.
        """
        content = read(self._path)
        use(parse(content, self._path))
        self._applied = content

    def follow(self, use: Callable[[ModelConfigs], None]) -> None:
        """Apply the file if its content has changed; log an error once, not at each call.

        A file that could not be applied is tried again at each call, because its model may be
        published soon. A change by a ReloadConfigRequest stays until the file is edited; TensorFlow
        Serving would go back to the file at each poll.
        """
        try:
            if read(self._path) == self._applied:
                return
            self.apply(use)
        except ServingError as error:
            if str(error) != self._last_error:
                _LOG.warning("model config kept", extra={"path": self._path, "reason": error})
            self._last_error = str(error)
        else:
            self._last_error = None
            _LOG.info("model config applied", extra={"path": self._path})


def read(path: Path) -> bytes:
    """Return the content of the file.

    Raises:
        ConfigInvalid: the file cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigInvalid(
            f"cannot read the model configuration {path}: {error.strerror}"
        ) from error


def parse(content: bytes, path: Path) -> ModelConfigs:
    """Return the models of a ModelServerConfig in protobuf's text format.

    Args:
        content: content of the file.
        path: path of the file, for error messages. Relative base paths are relative to its folder;
            TensorFlow Serving accepts only absolute ones.

    Raises:
        ConfigInvalid: the file cannot be parsed, or a model in it is invalid.
        ExtraMissing: the package tensorflow-serving-api is not installed.
    """
    config = _message_type()()
    try:
        text_format.Parse(content.decode(), config)
    except UnicodeDecodeError as error:
        raise ConfigInvalid(
            f"{path} is not a model configuration: it is not a text file"
        ) from error
    except text_format.ParseError as error:
        reason = " ".join(str(error).split())
        raise ConfigInvalid(
            f"{path} is not a ModelServerConfig in protobuf's text format: {reason}"
        ) from error
    if config.WhichOneof("config") != "model_config_list":
        raise ConfigInvalid(
            f"{path} has no model_config_list: add one with at least one "
            "config { name base_path }"
        )
    try:
        return model_configs(config.model_config_list.config, path.absolute().parent)
    except ConfigInvalid as error:
        raise ConfigInvalid(f"{path}: {error}") from error


def model_configs(configs: Iterable[Any], folder: Path | None) -> ModelConfigs:
    """Return the models of the entries of a ModelConfigList.

    Args:
        configs: ``ModelConfig`` messages. An unset model_platform means ``tensorflow``, the only
            platform.
        folder: folder of relative base paths; with None, base paths must be absolute.

    Raises:
        ConfigInvalid: a name or base path is missing or invalid, a model is listed twice, or
            model_platform is not ``tensorflow``.
    """
    found: dict[str, ModelConfig] = {}
    for config in configs:
        if not config.name.isprintable() or not config.name:
            raise ConfigInvalid(
                f"Expected a model name of printable characters; got {config.name!r}"
            )
        if config.name in found:
            raise ConfigInvalid(
                f"Illegal to list model {config.name} multiple times in config list"
            )
        _require_tensorflow(config)
        if config.HasField("logging_config"):
            _LOG.warning("logging_config has no effect", extra={"model": config.name})
        found[config.name] = ModelConfig(
            config.name, _base(config, folder), _policy(config), dict(config.version_labels)
        )
    return tuple(found.values())


def _base(config: Any, folder: Path | None) -> Path:
    text = config.base_path
    if not text or not text.isprintable():
        raise ConfigInvalid(
            f"Expected model {config.name} to have a base_path; got base_path()={text!r}"
        )
    if _SCHEME.match(text):
        raise ConfigInvalid(
            f"Expected model {config.name} to have a local folder; got base_path()={text}"
        )
    if folder is None and not Path(text).is_absolute():
        raise ConfigInvalid(
            f"Expected model {config.name} to have an absolute path or URI; got base_path()={text}"
        )
    return Path(folder or "/", text)


def _policy(config: Any) -> VersionPolicy:
    policy = config.model_version_policy
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return VersionPolicy.every()
    if choice == "specific":
        if not policy.specific.versions:
            raise ConfigInvalid(
                f"Expected model {config.name} to name versions in its specific policy; got none"
            )
        return VersionPolicy.specific(*policy.specific.versions)
    return VersionPolicy.latest(policy.latest.num_versions)


def _require_tensorflow(config: Any) -> None:
    if config.model_type:
        if config.model_platform:
            raise ConfigInvalid(
                "Illegal setting both ModelServerConfig::model_type (deprecated) and "
                "ModelServerConfig::model_platform."
            )
        if config.model_type != _TENSORFLOW:
            raise ConfigInvalid(
                f"ModelServerConfig::model_type choice {config.model_type} not supported."
            )
    elif config.model_platform not in ("", _PLATFORM):
        raise ConfigInvalid(
            f"Model {config.name} requests unsupported platform {config.model_platform}"
        )


def _message_type() -> Any:
    try:
        from tensorflow_serving.config import model_server_config_pb2
    except ModuleNotFoundError as error:
        raise ExtraMissing(
            f"--model-config-file needs {error.name}: pip install 'tunesmith[serving]'"
        ) from error
    return model_server_config_pb2.ModelServerConfig
