"""The composer: generates songs with a served model, frame by frame.

Several songs are generated as a batch, with one call per step. The same seed, model version, start
and sampling give the same song; song i does not depend on the number of songs (except for float32
rounding in the server, which can differ with the batch size).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self, Unpack

import grpc

from tunesmith.client.connection import DEFAULT_DEADLINE, Connection
from tunesmith.client.exchange import DEFAULT_PATIENCE, ModelVersion
from tunesmith.client.model import ModelReader, ServedModel
from tunesmith.client.request import (
    DEFAULT_STEPS,
    Drawing,
    DrawOptions,
    Loop,
    Request,
    SongOptions,
)
from tunesmith.client.session import Session, begin_session, extend_session, generate_on_server
from tunesmith.client.song import Song
from tunesmith.client.speculation import SpeculationStats
from tunesmith.music import Frame

DEFAULT_MODEL = "tunesmith"

Progress = Callable[[int], None]
"""Callback after each step; its argument is the common length of all songs in frames."""


class Composer:
    """A client of a served model that generates songs; a context manager.

    The connection is opened once, at the first call. A song is generated with a single version of
    the model: `version`, or else the latest one when the song begins. Threads may share a composer.

    Args:
        address: address of the server, ``HOST:PORT`` or ``unix:PATH``.
        model: name of the model on the server.
        version: model version to use; None for the latest.
        deadline: maximum duration of one call, in seconds.
        credentials: TLS credentials, see :func:`tunesmith.client.tls_credentials`; None for no TLS.
        patience: maximum time, in seconds, to retry a call while the server is unavailable or
            overloaded. Until the server has answered once, at most 2 seconds.

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
        self._models = ModelReader(ModelVersion(model, version))

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
        """Return version, vocabulary and settings of the served model.

        Makes one call, and a few more if the version is new.

        Raises:
            ComposerError: the server does not answer, or the model is not a composing model.
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
        """Generate a song.

        Args:
            steps: number of frames of the song, including a start note or chord.
            loop: ``client`` samples in this process. ``server`` generates the whole song in one
                call of the model's ``generate`` signature, with its own random numbers, without
                max_repeats, max_rests and progress.
            progress: called after each step with the number of frames so far.
            options: start and sampling of the song, see :class:`SongOptions`.

        Raises:
            BadOption: an argument is out of range.
            BadStart: several starts are given, or the primer cannot be used.
            UnknownStart: the start note or a frame is not in the vocabulary; the message lists
                similar frames.
            VersionGone: the version with which the song began is no longer served.
            ComposerError: the server does not answer, or its response is invalid.
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
        """Generate `count` songs as a batch, with one call per step.

        Each song has its own random stream; the first song is that of :meth:`generate` with the
        same seed. If the batch is too large for the server, it is split into several calls.
        Arguments and errors are those of :meth:`generate`.
        """
        if loop == "server":
            request = Request.of(count, steps, **options)
            return self._connection.perform(generate_on_server(self._models, request))
        return self.begin(count, steps, **options).finish(progress)

    def begin(
        self, count: int = 1, steps: int = DEFAULT_STEPS, **options: Unpack[SongOptions]
    ) -> SongsInProgress:
        """Begin songs that are generated step by step by iterating over the result.

        Arguments and errors are those of :meth:`generate_many`.
        """
        request = Request.of(count, steps, **options)
        session = self._connection.perform(begin_session(self._models, request))
        return SongsInProgress(self._connection, session)

    def stream(self, steps: int = DEFAULT_STEPS, **options: Unpack[SongOptions]) -> Iterator[Frame]:
        """Yield the frames of a song as they are drawn.

        The frames and the errors are those of :meth:`generate` with the same arguments. Errors of
        the start are raised at once, errors of a step by the iteration.
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

        A song of the same model continues with the version that generated it; a song of another
        model continues with this composer's version. Unless the options give another seed, the
        song's seed is used: a song of 100 frames, extended by 200, equals the song of 300 frames
        with the same seed and sampling.

        Args:
            song: song to extend.
            steps: number of frames to add.
            progress: called after each step with the number of frames so far.
            options: sampling of the new frames, see :class:`DrawOptions`.

        Raises:
            VersionGone: the version that generated the song is no longer served.
            UnknownStart: a frame of the song is not in the vocabulary of the model.
            ComposerError: as :meth:`generate`.
        """
        exchange = extend_session(self._models, song, steps, Drawing.of(**options))
        session = self._connection.perform(exchange)
        return SongsInProgress(self._connection, session).finish(progress)[0]


class SongsInProgress:
    """Songs in generation. Each iteration is one step and yields the common length of all songs.

    After an error or Ctrl-C, :meth:`songs` returns the songs as generated so far. After an error,
    a new iteration continues with the next step.
    """

    def __init__(self, connection: Connection, session: Session) -> None:
        self._connection = connection
        self._session = session

    def __iter__(self) -> Iterator[int]:
        """Yield the common length of all songs in frames, after each step."""
        if self._session.length:
            yield self._session.length
        while not self._session.done:
            self._connection.perform(self._session.step())
            yield self._session.length

    @property
    def speculation_stats(self) -> SpeculationStats:
        """Calls, draft tokens and accepted draft tokens so far."""
        return self._session.speculation_stats

    def songs(self) -> list[Song]:
        """Return the songs as generated so far."""
        return self._session.songs()

    def finish(self, progress: Progress | None = None) -> list[Song]:
        """Generate the rest and return the songs."""
        for length in self:
            if progress is not None:
                progress(length)
        return self.songs()

    def stream(self) -> Iterator[Frame]:
        """Yield the frames of the first song as they are drawn."""
        yielded = 0
        for _ in self:
            frames = self._session.frames()
            yield from frames[yielded:]
            yielded = len(frames)
