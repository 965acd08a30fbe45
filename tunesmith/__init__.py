"""Learns to compose from a folder of MIDI files and serves the composer.

    from tunesmith import Composer

    with Composer("localhost:8500") as composer:
        composer.generate(steps=300).write("song.mid")

The names that an application needs first are those of :mod:`tunesmith.client`. They are imported
when they are asked for: importing this package, or one below it, loads neither numpy nor gRPC for
them.
"""

from __future__ import annotations

import os.path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunesmith.client import (
        AsyncComposer,
        Composer,
        ComposerError,
        Sampling,
        Song,
        tls_credentials,
    )

    __version__: str
    """Version of the distribution, such as ``0.1.0``."""

__all__ = [
    "AsyncComposer",
    "Composer",
    "ComposerError",
    "Sampling",
    "Song",
    "__version__",
    "tls_credentials",
]

# A program started in a checkout finds this folder first, without the other packages beside it. In
# place, so that the package's specification names them, too.
if not os.path.isdir(os.path.join(__path__[0], "music")):  # noqa: PTH112, PTH118
    from pkgutil import extend_path

    __path__[:] = extend_path(__path__, __name__)


def __getattr__(name: str) -> Any:
    """Import a name of the client, or read the version, when it is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version(__name__)
    else:
        from importlib import import_module

        value = getattr(import_module("tunesmith.client"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
