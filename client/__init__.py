"""The client of a composing model: a thin gRPC library that samples songs and writes them.

It knows :mod:`tunesmith.music` and the wire format of TensorFlow Serving, and imports neither
TensorFlow nor any drawing or MIDI library before one is needed.
"""

from tunesmith.client.composer import Composer
from tunesmith.client.errors import (
    BadAddress,
    BadOption,
    BadResponse,
    BadStart,
    CannotWrite,
    ComposerError,
    ModelNotFound,
    NotAComposer,
    ServerBusy,
    ServerError,
    ServerTooSlow,
    ServerUnavailable,
    UnknownStart,
)
from tunesmith.client.sampling import Sampling
from tunesmith.client.song import Song

__all__ = [
    "BadAddress",
    "BadOption",
    "BadResponse",
    "BadStart",
    "CannotWrite",
    "Composer",
    "ComposerError",
    "ModelNotFound",
    "NotAComposer",
    "Sampling",
    "ServerBusy",
    "ServerError",
    "ServerTooSlow",
    "ServerUnavailable",
    "Song",
    "UnknownStart",
]
