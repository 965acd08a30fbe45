"""Errors of the client library: arguments, servers, models and files.

All are subclasses of :class:`ComposerError`. Every message is one line that says what to do.
"""

from __future__ import annotations

from tunesmith.music.errors import UnknownFrame


class ComposerError(Exception):
    """Base class of the errors of :mod:`tunesmith.client`."""


class BadAddress(ComposerError, ValueError):
    """The server address is not ``HOST:PORT`` or a ``unix:`` path."""


class BadOption(ComposerError, ValueError):
    """An argument is out of range: steps, count, temperature, top_k, top_p, seed, …"""


class BadStart(ComposerError, ValueError):
    """The start of a song is invalid: several starts, an unusable primer, …"""


class UnknownStart(BadStart, UnknownFrame):
    """A start note or frame is not in the vocabulary; the message lists similar frames."""


class ServerUnavailable(ComposerError):
    """No server answers at the address (UNAVAILABLE)."""


class ConnectionClosed(ServerUnavailable):
    """The composer has been closed."""


class ServerTooSlow(ComposerError):
    """The server did not answer within the deadline (DEADLINE_EXCEEDED)."""


class ServerBusy(ComposerError):
    """The server is overloaded or out of memory (RESOURCE_EXHAUSTED)."""


class MessageTooLarge(ServerBusy):
    """A request or a response is larger than the maximum message size."""


class ServerError(ComposerError):
    """The server answered with another error status.

    Attributes:
        status: name of the gRPC status code, such as ``INTERNAL``.
        details: message of the server, in one line.
    """

    def __init__(self, message: str, status: str, details: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.details = details


class ModelNotFound(ComposerError):
    """The server does not serve this model or this version (NOT_FOUND)."""


class VersionGone(ModelNotFound):
    """The version with which a song began is no longer served."""


class NotAComposer(ComposerError):
    """The server or the model is not usable: signatures of a composing model are missing."""


class BadResponse(ComposerError):
    """The response is invalid: wrong shape or dtype, NaN, rows that do not sum to one."""


class CannotWrite(ComposerError, OSError):
    """A file cannot be written."""


class UnknownFormat(BadOption):
    """A file whose suffix belongs to no format; the message lists the known suffixes."""


class MissingLibrary(ComposerError, ImportError):
    """A format needs a library that is not installed; the message has the command to install it."""
