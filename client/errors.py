"""The errors of the client: what can go wrong between a caller, a server and a file.

One hierarchy under :class:`ComposerError`. Every message is one line that says what to do.
"""

from __future__ import annotations

from tunesmith.music.errors import UnknownFrame


class ComposerError(Exception):
    """Any error of :mod:`tunesmith.client`; its message is one line that says what to do."""


class BadAddress(ComposerError, ValueError):
    """A server's address that is not ``HOST:PORT`` or a ``unix:`` path."""


class BadOption(ComposerError, ValueError):
    """An argument out of its range: steps, count, temperature, top_k, top_p, seed, …"""


class BadStart(ComposerError, ValueError):
    """A start that a song cannot begin from: two kinds at once, an unusable primer, …"""


class UnknownStart(BadStart, UnknownFrame):
    """A start note or frame outside the model's vocabulary; the message names near ones."""


class ServerUnavailable(ComposerError):
    """Nobody answers at the address, or no longer."""


class ConnectionClosed(ServerUnavailable):
    """The composer was closed; it answers nothing any more."""


class ServerTooSlow(ComposerError):
    """An answer did not come within the deadline."""


class ServerBusy(ComposerError):
    """The server refused for want of threads, memory or message size (RESOURCE_EXHAUSTED)."""


class MessageTooLarge(ServerBusy):
    """A request or an answer is larger than the server or this client takes in one message."""


class ServerError(ComposerError):
    """The server answered with a status that no other error here stands for.

    Attributes:
        status: the name of the gRPC status code, such as ``INTERNAL``.
        details: the server's own message, in one line.
    """

    def __init__(self, message: str, status: str, details: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.details = details


class ModelNotFound(ComposerError):
    """The server has no model of this name, or not the version that was asked for."""


class VersionGone(ModelNotFound):
    """The version that a song began with is no longer served."""


class NotAComposer(ComposerError):
    """What is served there lacks the signatures of a composing model."""


class BadResponse(ComposerError):
    """The server answered nonsense: a wrong shape or type, NaN, rows that do not sum to one."""


class CannotWrite(ComposerError, OSError):
    """A file cannot be written where it was asked for."""


class UnknownFormat(BadOption):
    """A file whose suffix belongs to no format; the message lists the known suffixes."""


class MissingLibrary(ComposerError, ImportError):
    """A format needs a library that is not installed; the message has the command to install it."""
