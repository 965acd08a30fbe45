"""Client library: generates songs with a served model over gRPC, and writes them to files.

It depends on :mod:`tunesmith.music` and on the wire format of TensorFlow Serving, not on
TensorFlow. Libraries for MIDI, pictures and sound are imported only when they are used.
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
    """Import the asyncio version at its first use."""
    if name == "AsyncComposer":
        from tunesmith.client.aio import AsyncComposer

        return AsyncComposer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
