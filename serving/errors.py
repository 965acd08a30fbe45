"""Errors of the serving package: the reasons why a server cannot start or continue.

Each message is one line that says what to do; the command line prints it unchanged. An error in the
answer to a single request is a :class:`tunesmith.serving.status.RequestError` instead.
"""

from __future__ import annotations


class ServingError(Exception):
    """Base class of the errors that keep a server from starting or continuing."""


class ModelFolderMissing(ServingError):
    """The model folder (the base path of its versions) is not a readable folder."""


class ModelVersionMissing(ServingError):
    """The model folder has no version folder ``<integer>/``."""


class ModelNotLoadable(ServingError):
    """None of the versions in the model folder loads.

    Attributes:
        code: gRPC status code number of the failure, as GetModelStatus reports it.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class AddressUnavailable(ServingError):
    """The address cannot be bound: in use, not an address of this machine, or not permitted."""


class EngineMissing(ServingError):
    """The requested serving engine is not installed on this machine."""


class ExtraMissing(ServingError):
    """A package of the extra ``serving`` is not installed."""


class ConfigInvalid(ServingError):
    """A configuration file is missing, cannot be parsed, or contradicts itself."""


class LabelNotAssignable(ServingError):
    """A version label refers to a version that is not available."""


class ServerStopping(ServingError):
    """The server is stopping and accepts no more changes."""
