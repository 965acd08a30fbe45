"""The track choice: selects the instruments of a MIDI file that are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from tunesmith.music.errors import MusicError, UnusableFile

Kind = Literal["first", "all", "name", "program"]


class Instrument(Protocol):
    """Properties of an instrument that a choice uses; pretty_midi's instruments have them."""

    @property
    def name(self) -> str:
        """Name of its track."""

    @property
    def program(self) -> int:
        """General MIDI program 0..127."""

    @property
    def is_drum(self) -> bool:
        """True for the drum channel."""


Chosen = TypeVar("Chosen", bound=Instrument)


@dataclass(frozen=True)
class TrackChoice:
    """A rule that selects instruments of a file.

    ``first`` selects instrument 0 in pretty_midi's order (the paper's rule), ``all`` all non-drum
    instruments, ``name:PIANO`` the instruments of that name (case is ignored), and ``program:0``
    the non-drum instruments of that General MIDI program (0..127). Several are merged.
    """

    kind: Kind
    name: str = ""
    program: int = 0

    @classmethod
    def parse(cls, text: str) -> TrackChoice:
        """Parse a choice as written on the command line.

        Raises:
            MusicError: `text` has none of the four forms.
        """
        kind, colon, value = text.partition(":")
        match kind:
            case "first" | "all" if not colon:
                return cls(kind)
            case "name" if value.strip():
                return cls("name", name=value.strip())
            case "program" if value.isascii() and value.isdigit() and int(value) < 128:
                return cls("program", program=int(value))
        raise MusicError(
            f"{text!r} is not a track choice: write first, all, name:PIANO or program:0 (0 to 127)"
        )

    def __str__(self) -> str:
        match self.kind:
            case "name":
                return f"name:{self.name}"
            case "program":
                return f"program:{self.program}"
        return self.kind

    def select(self, instruments: Sequence[Chosen]) -> list[Chosen]:
        """Return the chosen instruments without drums, at least one.

        Raises:
            UnusableFile: no instrument matches, or only drums.
        """
        found = self._matching(instruments)
        if not found:
            names = ", ".join(sorted({repr(each.name) for each in instruments})) or "none"
            raise UnusableFile(
                "no such track", f"no instrument matches {self}; instruments: {names}"
            )
        pitched = [each for each in found if not each.is_drum]
        if not pitched:
            raise UnusableFile("drum track", f"{self} matches only drums")
        return pitched

    def _matching(self, instruments: Sequence[Chosen]) -> list[Chosen]:
        match self.kind:
            case "first":
                return list(instruments[:1])
            case "all":
                return list(instruments)
            case "name":
                wanted = self.name.casefold()
                return [each for each in instruments if each.name.strip().casefold() == wanted]
        return [each for each in instruments if each.program == self.program and not each.is_drum]
