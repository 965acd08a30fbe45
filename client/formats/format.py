"""The protocol of a format: its name, its suffixes, the library it needs, and how it writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from tunesmith.client.libraries import Library
    from tunesmith.client.song import Song


class Format(Protocol):
    """Writes songs as files of one kind.

    A format of one's own is an object with these members. A package offers it as an entry point of
    the group ``tunesmith.formats``; ``tunesmith generate --format module:object`` and
    :meth:`tunesmith.client.Song.save` take any.
    """

    @property
    def name(self) -> str:
        """Its name in messages: ``MIDI``."""
        ...

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The suffixes of its files, in lower case: ``(".mid", ".midi")``."""
        ...

    @property
    def library(self) -> Library | None:
        """The library that it needs beyond the base install; None if it needs none."""
        ...

    def write(self, song: Song, file: BinaryIO) -> None:
        """Write a song.

        Args:
            song: the song, as it is to be played.
            file: where to; it can be written and sought. :meth:`Song.save` gives it a name when
                everything is written, so that an error leaves no file.

        Raises:
            ComposerError: the song cannot be written in this format.
        """
        ...
