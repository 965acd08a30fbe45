"""Libraries that only some outputs of a song need, each with the extra that installs it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from tunesmith.client.errors import MissingLibrary


@dataclass(frozen=True)
class Library:
    """A library that the base install leaves out.

    Args:
        name: its name, as its users write it.
        module: its top-level module.
        extra: the extra of tunesmith that installs it.
    """

    name: str
    module: str
    extra: str

    @property
    def installed(self) -> bool:
        """Whether Python finds the module; it is not imported."""
        try:
            return importlib.util.find_spec(self.module) is not None
        except ImportError:
            return False

    def require(self, purpose: str) -> None:
        """Check that the library is installed.

        Args:
            purpose: the subject of the error message: ``a PNG picture``.

        Raises:
            MissingLibrary: it is not; the message has the command that installs it.
        """
        if not self.installed:
            raise MissingLibrary(
                f"{purpose} needs {self.name}: pip install 'tunesmith[{self.extra}]'"
            )


PILLOW = Library("Pillow", "PIL", "pictures")
MUSIC21 = Library("music21", "music21", "scores")
