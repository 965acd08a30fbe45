"""The client of a composing model: a thin gRPC library that samples songs and writes them.

It knows :mod:`tunesmith.music` and the wire format of TensorFlow Serving, and imports neither
TensorFlow nor any drawing or MIDI library before one is needed.
"""

from typing import TYPE_CHECKING, Any

from tunesmith.client.composer import Composer, SongsInProgress
from tunesmith.client.connection import tls_credentials
from tunesmith.client.errors import (
    BadAddress,
    BadOption,
    BadResponse,
    BadStart,
    CannotWrite,
    ComposerError,
    ConnectionClosed,
    MessageTooLarge,
    MissingLibrary,
    ModelNotFound,
    NotAComposer,
    ServerBusy,
    ServerError,
    ServerTooSlow,
    ServerUnavailable,
    UnknownFormat,
    UnknownStart,
    VersionGone,
)
from tunesmith.client.filters import MinP, RepetitionLimit, RestLimit, Temperature, TopK, TopP
from tunesmith.client.request import DrawOptions, SongOptions
from tunesmith.client.sampling import Sampling
from tunesmith.client.song import Song

if TYPE_CHECKING:
    from tunesmith.client.aio import AsyncComposer

__all__ = [
    "AsyncComposer",
    "BadAddress",
    "BadOption",
    "BadResponse",
    "BadStart",
    "CannotWrite",
    "Composer",
    "ComposerError",
    "ConnectionClosed",
    "DrawOptions",
    "MessageTooLarge",
    "MinP",
    "MissingLibrary",
    "ModelNotFound",
    "NotAComposer",
    "RepetitionLimit",
    "RestLimit",
    "Sampling",
    "ServerBusy",
    "ServerError",
    "ServerTooSlow",
    "ServerUnavailable",
    "Song",
    "SongOptions",
    "SongsInProgress",
    "Temperature",
    "TopK",
    "TopP",
    "UnknownFormat",
    "UnknownStart",
    "VersionGone",
    "tls_credentials",
]


def __getattr__(name: str) -> Any:
    """Import the asyncio twin when it is asked for."""
    if name == "AsyncComposer":
        from tunesmith.client.aio import AsyncComposer

        return AsyncComposer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
