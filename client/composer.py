"""The composer: the loop that asks a served model for one frame after another.

Several songs are composed side by side with one call a step. Same seed, same model version, same
song; song i of many does not depend on how many there are (up to the server's own float32
rounding, which may differ with the size of a batch).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self, Unpack

import grpc

from tunesmith.client.connection import DEFAULT_DEADLINE, Connection
from tunesmith.client.exchange import DEFAULT_PATIENCE, ModelVersion
from tunesmith.client.model import Models, ServedModel
from tunesmith.client.request import (
    DEFAULT_STEPS,
    Drawing,
    DrawOptions,
    Loop,
    Request,
    SongOptions,
)
from tunesmith.client.session import Session, at_the_server, beginning, extending
from tunesmith.client.song import Song
from tunesmith.client.speculation import Tally
from tunesmith.music import Frame

DEFAULT_MODEL = "tunesmith"

Progress = Callable[[int], None]
"""Called after each step with the number of frames that every song has by now."""


class Composer:
    """A model on a server, ready to compose; a context manager.

    The connection is opened once, at the first call. Each song is composed on one version of the
    model, the latest when the song begins, unless `version` names one. May be shared by threads.

    Args:
        address: the server, ``HOST:PORT`` or ``unix:PATH``.
        model: the model's name on the server.
        version: compose on this version only; None for the latest.
        deadline: seconds that one call may take.
        credentials: of :func:`tunesmith.client.tls_credentials`; plain text if None.
        patience: seconds that a server which has answered before may be away or overloaded; one
            that never did is given 2.

    Raises:
        BadAddress: the address has no port.
        BadOption: the deadline is not positive.
    """

    def __init__(
        self,
        address: str,
        model: str = DEFAULT_MODEL,
        *,
        version: int | None = None,
        deadline: float = DEFAULT_DEADLINE,
        credentials: grpc.ChannelCredentials | None = None,
        patience: float = DEFAULT_PATIENCE,
    ) -> None:
        self._connection = Connection(address, deadline, credentials, patience)
        self._models = Models(ModelVersion(model, version))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def model(self) -> ServedModel:
        """Return the model as it is served now: its version, vocabulary and settings.

        One call, and a few more when the version is a new one.

        Raises:
            ComposerError: the server does not answer, or not as a composing model does.
        """
        return self._connection.perform(self._models.current())

    def generate(
        self,
        steps: int = DEFAULT_STEPS,
        *,
        loop: Loop = "client",
        progress: Progress | None = None,
        **options: Unpack[SongOptions],
    ) -> Song:
        """Compose a song.

        Args:
            steps: frames of the song; a start note or chord counts as the first of them.
            loop: ``server`` has the model draw the whole song in one call, with its own random
                numbers, where it has a ``generate`` signature; no limits, no progress.
            progress: called after each step with the number of frames so far.
            options: where it begins and how it is drawn, see :class:`SongOptions`.

        Raises:
            BadOption: an argument is out of range.
            BadStart: two starts, or a primer that cannot be used.
            UnknownStart: the model does not know the note or a frame; the message names near ones.
            VersionGone: the version that the song began with is no longer served.
            ComposerError: the server does not answer, or answers nonsense.
        """
        return self.generate_many(1, steps, loop=loop, progress=progress, **options)[0]

    def generate_many(
        self,
        count: int,
        steps: int = DEFAULT_STEPS,
        *,
        loop: Loop = "client",
        progress: Progress | None = None,
        **options: Unpack[SongOptions],
    ) -> list[Song]:
        """Compose `count` songs side by side, with one call a step for all of them.

        The songs differ by their random streams; the first is the one that :meth:`generate` gives
        for the same seed. A server that refuses so many windows in one call is asked in several.
        Arguments and errors are those of :meth:`generate`.
        """
        if loop == "server":
            request = Request.of(count, steps, **options)
            return self._connection.perform(at_the_server(self._models, request))
        return self.begin(count, steps, **options).finish(progress)

    def begin(
        self, count: int = 1, steps: int = DEFAULT_STEPS, **options: Unpack[SongOptions]
    ) -> SongsInProgress:
        """Begin songs, to be moved on a step at a time and taken off at any time.

        Arguments and errors are those of :meth:`generate_many`.
        """
        request = Request.of(count, steps, **options)
        session = self._connection.perform(beginning(self._models, request))
        return SongsInProgress(self._connection, session)

    def stream(self, steps: int = DEFAULT_STEPS, **options: Unpack[SongOptions]) -> Iterator[Frame]:
        """Yield the frames of a song as they are drawn.

        They are the frames that :meth:`generate` returns for the same arguments, whose errors come
        here too: those of the start at once, those of a step when its frame is asked for.
        """
        return self.begin(1, steps, **options).stream()

    def extend(
        self,
        song: Song,
        steps: int = DEFAULT_STEPS,
        *,
        progress: Progress | None = None,
        **options: Unpack[DrawOptions],
    ) -> Song:
        """Return `song` with `steps` more frames.

        A song of this composer's model goes on on its own version, another's on this composer's.
        Its own seed draws on, unless the options name another: a song of 100 frames and 200 more is
        the song of 300 that the same seed and sampling give at one go.

        Args:
            song: what is continued.
            steps: frames to add.
            progress: called after each step with the number of frames so far.
            options: how they are drawn, see :class:`DrawOptions`.

        Raises:
            VersionGone: the version that composed the song is not served any more.
            UnknownStart: the model does not know a frame of the song.
            ComposerError: as :meth:`generate`.
        """
        exchange = extending(self._models, song, steps, Drawing.of(**options))
        session = self._connection.perform(exchange)
        return SongsInProgress(self._connection, session).finish(progress)[0]


class SongsInProgress:
    """Songs being composed. Iterating moves them on; each item is the length that all have by now.

    Whatever ends it, an error or Ctrl-C, :meth:`songs` gives what was composed by then, and where
    it was an error, iterating again goes on with the next step.
    """

    def __init__(self, connection: Connection, session: Session) -> None:
        self._connection = connection
        self._session = session

    def __iter__(self) -> Iterator[int]:
        """Yield the number of frames that every song has: at first those of the start, if any."""
        if self._session.length:
            yield self._session.length
        while not self._session.done:
            self._connection.perform(self._session.step())
            yield self._session.length

    @property
    def tally(self) -> Tally:
        """The calls so far, and how many guesses stood, where frames are guessed ahead."""
        return self._session.tally

    def songs(self) -> list[Song]:
        """Return the songs as far as they are composed."""
        return self._session.songs()

    def finish(self, progress: Progress | None = None) -> list[Song]:
        """Compose to the end and return the songs."""
        for length in self:
            if progress is not None:
                progress(length)
        return self.songs()

    def stream(self) -> Iterator[Frame]:
        """Yield the frames of the first song as they are drawn."""
        told = 0
        for _ in self:
            frames = self._session.frames()
            yield from frames[told:]
            told = len(frames)
