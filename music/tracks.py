"""Which instruments of a MIDI file are the music: the track choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tunesmith.music.errors import MusicError, UnusableFile

if TYPE_CHECKING:
    import pretty_midi

Kind = Literal["first", "all", "name", "program"]


@dataclass(frozen=True)
class TrackChoice:
    """A rule that picks instruments of a file.

    ``first`` is instrument 0 as pretty_midi lists them (the paper's rule), ``all`` every non-drum
    instrument merged, ``name:PIANO`` those of that name (case apart), ``program:0`` the non-drum
    ones of that General MIDI program (0..127).
    """

    kind: Kind
    name: str = ""
    program: int = 0

    @classmethod
    def parse(cls, text: str) -> TrackChoice:
        """Read a choice as the command line writes it.

        Raises:
            MusicError: `text` is none of the four forms.
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
            f"{text!r} is no track choice: write first, all, name:PIANO or program:0 (0 to 127)"
        )

    def __str__(self) -> str:
        match self.kind:
            case "name":
                return f"name:{self.name}"
            case "program":
                return f"program:{self.program}"
        return self.kind

    def select(self, instruments: Sequence[pretty_midi.Instrument]) -> list[pretty_midi.Instrument]:
        """Return the chosen instruments that have notes, at least one.

        Raises:
            UnusableFile: the choice finds no instrument, only drums, or no notes.
        """
        found = self._matching(instruments)
        if not found:
            names = ", ".join(sorted({repr(each.name) for each in instruments})) or "none"
            raise UnusableFile("no such track", f"{self} is not among the instruments: {names}")
        pitched = [each for each in found if not each.is_drum]
        if not pitched:
            raise UnusableFile("drum track", f"{self} holds drums only")
        sounding = [each for each in pitched if each.notes]
        if not sounding:
            raise UnusableFile("no notes", f"{self} holds no notes")
        return sounding

    def _matching(
        self, instruments: Sequence[pretty_midi.Instrument]
    ) -> list[pretty_midi.Instrument]:
        match self.kind:
            case "first":
                return list(instruments[:1])
            case "all":
                return list(instruments)
            case "name":
                wanted = self.name.casefold()
                return [each for each in instruments if each.name.strip().casefold() == wanted]
        return [each for each in instruments if each.program == self.program and not each.is_drum]
