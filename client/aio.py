"""The asyncio version of the composer: same arguments, same songs.

``tunesmith.client`` imports it at the first use of ``AsyncComposer``. If a task is cancelled while
it composes, the composer can still be used for other songs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import grpc
import grpc.aio

from tunesmith.client.composer import DEFAULT_MODEL, Progress
from tunesmith.client.connection import DEFAULT_DEADLINE, Address, open_channel
from tunesmith.client.errors import ComposerError
from tunesmith.client.exchange import (
    DEFAULT_PATIENCE,
    Call,
    Effect,
    Exchange,
    ModelVersion,
    Pause,
    RetryPolicy,
)
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

T = TypeVar("T")


class AsyncConnection:
    """A gRPC channel of one event loop, opened at the first call and used until :meth:`close`.

    Arguments and errors are those of :class:`tunesmith.client.connection.Connection`.
    """

    def __init__(
        self,
        address: str,
        deadline: float = DEFAULT_DEADLINE,
        credentials: grpc.ChannelCredentials | None = None,
        patience: RetryPolicy | float = DEFAULT_PATIENCE,
    ) -> None:
        self._address = Address(address, deadline, credentials)
        self._retries = patience if isinstance(patience, RetryPolicy) else RetryPolicy(patience)
        self._channel: Any = None
        self._functions: dict[str, Any] = {}
        self._closed = False

    async def close(self) -> None:
        """Close the channel; running calls are cancelled."""
        self._closed = True
        if self._channel is not None:
            await self._channel.close()

    async def perform(self, exchange: Exchange[T]) -> T:
        """Return the result of `exchange`.

        Raises:
            ComposerError: a call failed, or the exchange raised the error.
        """
        steps = self._retries.with_retries(exchange)
        try:
            effect = next(steps)
            while True:
                try:
                    outcome = await self._outcome(effect)
                except ComposerError as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(outcome)
        except StopIteration as end:
            result: T = end.value
            return result

    async def _outcome(self, effect: Effect) -> Any:
        if isinstance(effect, Pause):
            return await asyncio.sleep(effect.seconds)
        if not isinstance(effect, Call):
            return await asyncio.to_thread(effect.function)
        if self._closed:
            raise self._address.closed()
        if self._channel is None:
            self._channel, self._functions = open_channel(self._address, grpc.aio)
        try:
            function = self._functions[effect.method]
            return await function(effect.request, timeout=self._address.seconds(effect))
        except grpc.RpcError as error:
            raise self._address.error(error, effect) from error
        except (asyncio.CancelledError, grpc.aio.UsageError) as error:
            # Closing a channel cancels its calls with CancelledError, too.
            if self._closed and not _cancelled():
                raise self._address.closed() from error
            raise


def _cancelled() -> bool:
    """Return whether the current task is being cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class AsyncComposer:
    """A client of a served model that generates songs; an asynchronous context manager.

    Arguments, songs and errors are those of :class:`tunesmith.client.Composer`. All tasks of one
    event loop may share it.
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
        self._connection = AsyncConnection(address, deadline, credentials, patience)
        self._models = ModelReader(ModelVersion(model, version))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    async def model(self) -> ServedModel:
        """See :meth:`tunesmith.client.Composer.model`."""
        return await self._connection.perform(self._models.current())

    async def generate(
        self,
        steps: int = DEFAULT_STEPS,
        *,
        loop: Loop = "client",
        progress: Progress | None = None,
        **options: Unpack[SongOptions],
    ) -> Song:
        """See :meth:`tunesmith.client.Composer.generate`."""
        songs = await self.generate_many(1, steps, loop=loop, progress=progress, **options)
        return songs[0]

    async def generate_many(
        self,
        count: int,
        steps: int = DEFAULT_STEPS,
        *,
        loop: Loop = "client",
        progress: Progress | None = None,
        **options: Unpack[SongOptions],
    ) -> list[Song]:
        """See :meth:`tunesmith.client.Composer.generate_many`."""
        if loop == "server":
            request = Request.of(count, steps, **options)
            return await self._connection.perform(generate_on_server(self._models, request))
        songs = await self.begin(count, steps, **options)
        return await songs.finish(progress)

    async def begin(
        self, count: int = 1, steps: int = DEFAULT_STEPS, **options: Unpack[SongOptions]
    ) -> AsyncSongsInProgress:
        """See :meth:`tunesmith.client.Composer.begin`."""
        request = Request.of(count, steps, **options)
        session = await self._connection.perform(begin_session(self._models, request))
        return AsyncSongsInProgress(self._connection, session)

    async def stream(
        self, steps: int = DEFAULT_STEPS, **options: Unpack[SongOptions]
    ) -> AsyncIterator[Frame]:
        """Yield the frames of a song as they are drawn; errors are raised by the iteration."""
        songs = await self.begin(1, steps, **options)
        async for frame in songs.stream():
            yield frame

    async def extend(
        self,
        song: Song,
        steps: int = DEFAULT_STEPS,
        *,
        progress: Progress | None = None,
        **options: Unpack[DrawOptions],
    ) -> Song:
        """See :meth:`tunesmith.client.Composer.extend`."""
        exchange = extend_session(self._models, song, steps, Drawing.of(**options))
        session = await self._connection.perform(exchange)
        return (await AsyncSongsInProgress(self._connection, session).finish(progress))[0]


class AsyncSongsInProgress:
    """Songs in generation; see :class:`tunesmith.client.SongsInProgress`."""

    def __init__(self, connection: AsyncConnection, session: Session) -> None:
        self._connection = connection
        self._session = session

    async def __aiter__(self) -> AsyncIterator[int]:
        """Yield the common length of all songs in frames, after each step."""
        if self._session.length:
            yield self._session.length
        while not self._session.done:
            await self._connection.perform(self._session.step())
            yield self._session.length

    @property
    def speculation_stats(self) -> SpeculationStats:
        """Calls, draft tokens and accepted draft tokens so far."""
        return self._session.speculation_stats

    def songs(self) -> list[Song]:
        """Return the songs as generated so far."""
        return self._session.songs()

    async def finish(self, progress: Progress | None = None) -> list[Song]:
        """Generate the rest and return the songs."""
        async for length in self:
            if progress is not None:
                progress(length)
        return self.songs()

    async def stream(self) -> AsyncIterator[Frame]:
        """Yield the frames of the first song as they are drawn."""
        yielded = 0
        async for _ in self:
            frames = self._session.frames()
            for frame in frames[yielded:]:
                yield frame
            yielded = len(frames)
