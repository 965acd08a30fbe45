"""Exchanges: I/O-free descriptions of a dialogue with a server, for blocking and asyncio clients.

An :data:`Exchange` is a generator that yields effects (:class:`Call`, :class:`Pause`,
:class:`RunInThread`), receives the result of each (or its
:class:`~tunesmith.client.errors.ComposerError`), and returns its own result.
:mod:`tunesmith.client.connection` performs exchanges by blocking, :mod:`tunesmith.client.aio` with
asyncio, so that both share all other code.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

from tunesmith.client.errors import (
    ComposerError,
    ConnectionClosed,
    MessageTooLarge,
    ServerBusy,
    ServerUnavailable,
)
from tunesmith.client.protos import tunesmith_wire_pb2 as wire

T = TypeVar("T")

DEFAULT_PATIENCE = 60.0
"""Maximum time to retry, in seconds: a restarted embedded server needs about ten."""

FIRST_CONTACT = 2.0
"""Maximum time to retry before the first answer, in seconds: the address may be wrong."""

SHORTEST_PAUSE = 0.1
LONGEST_PAUSE = 2.0


@dataclass(frozen=True)
class ModelVersion:
    """Model name and version; None is the latest version."""

    name: str
    version: int | None = None

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name} version {self.version}"

    def spec(self, signature: str = "") -> wire.ModelSpec:
        """Return the ``ModelSpec`` message of this model and `signature`."""
        spec = wire.ModelSpec(name=self.name, signature_name=signature)
        if self.version is not None:
            spec.version.value = self.version
        return spec


@dataclass(frozen=True)
class Call:
    """Effect: one gRPC call; its result is the response message.

    Args:
        method: method of TensorFlow Serving's services.
        request: request message.
        model: requested model, for error messages.
        deadlines: factor by which the deadline is multiplied.
    """

    method: Literal["Predict", "GetModelMetadata", "GetModelStatus"]
    request: Any
    model: ModelVersion
    deadlines: float = 1.0


@dataclass(frozen=True)
class Pause:
    """Effect: wait for a number of seconds; its result is None."""

    seconds: float


@dataclass(frozen=True)
class RunInThread:
    """Effect: a blocking function, such as reading a file; its result is that of the function."""

    function: Callable[[], Any]


Effect: TypeAlias = Call | Pause | RunInThread
Exchange: TypeAlias = Generator[Effect, Any, T]


class RetryPolicy:
    """Retry policy for a server that is unavailable (UNAVAILABLE) or overloaded.

    Calls are retried with exponential backoff from 0.1 s to 2 s. Each pause is shortened by a
    random fraction of up to one half, so that clients do not retry at the same moment (Brooker
    2015, "Exponential Backoff And Jitter").

    Args:
        seconds: maximum time to retry a call; at most 2 s until the server has answered once.
        jitter: returns uniform random numbers in [0, 1).
        clock: monotonic clock in seconds.
    """

    def __init__(
        self,
        seconds: float = DEFAULT_PATIENCE,
        jitter: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = seconds
        self._jitter = jitter
        self._clock = clock
        self._answered = False

    def with_retries(self, exchange: Exchange[T]) -> Exchange[T]:
        """Return the same exchange with retried calls."""
        try:
            effect = next(exchange)
            while True:
                try:
                    outcome = yield from self._retried(effect)
                except ComposerError as error:
                    effect = exchange.throw(error)
                else:
                    effect = exchange.send(outcome)
        except StopIteration as end:
            result: T = end.value
            return result

    def _retried(self, effect: Effect) -> Exchange[Any]:
        started = self._clock()
        backoff = SHORTEST_PAUSE
        while True:
            try:
                outcome = yield effect
            except (ConnectionClosed, MessageTooLarge):
                raise
            except ServerBusy as error:
                # RESOURCE_EXHAUSTED is an answer: the server exists.
                self._answered = True
                seconds = self._pause(started, backoff, error)
            except ServerUnavailable as error:
                seconds = self._pause(started, backoff, error)
            else:
                self._answered = self._answered or isinstance(effect, Call)
                return outcome
            yield Pause(seconds)
            backoff = min(2 * backoff, LONGEST_PAUSE)

    def _pause(
        self, started: float, backoff: float, error: ServerBusy | ServerUnavailable
    ) -> float:
        """Return the next pause in seconds; raise `error` if it would exceed the time limit."""
        limit = self._seconds if self._answered else min(self._seconds, FIRST_CONTACT)
        seconds = backoff * (1 - self._jitter() / 2)
        if self._clock() - started + seconds <= limit:
            return seconds
        if self._answered and isinstance(error, ServerUnavailable):
            raise ServerUnavailable(f"{error} (retried for {limit:g} s)") from error
        raise error
