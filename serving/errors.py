"""The errors of the serving package: what can keep a model from being served.

Each message is one line that says what to do, fit for a command line to print as it is. An answer
to a single request that is not OK is a :class:`tunesmith.serving.status.RequestError` instead.
"""

from __future__ import annotations


class ServingError(Exception):
    """Any error of :mod:`tunesmith.serving` that stops a server from starting or going on."""


class ModelFolderMissing(ServingError):
    """The base path that should hold a model's versions is not a readable folder."""


class ModelVersionMissing(ServingError):
    """The base path is there, but no ``<integer version>/`` folder is in it."""


class ModelNotLoadable(ServingError):
    """There are versions, and none of them loads.

    Attributes:
        code: the gRPC status code number that GetModelStatus reports for the failure.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class AddressUnavailable(ServingError):
    """The host and port cannot be listened on: in use, not this machine's, or not permitted."""


class EngineMissing(ServingError):
    """The engine that was asked for by name is not on this machine."""


class ExtraMissing(ServingError):
    """A package of the ``serving`` extra is not installed."""


class ConfigInvalid(ServingError):
    """A configuration file is missing, cannot be parsed, or contradicts itself."""


class LabelNotAssignable(ServingError):
    """A version label is for a version that is not available."""


class ServerStopping(ServingError):
    """Nothing can be changed any more."""
