"""What a composer does with a server, told apart from how: by waiting, or with asyncio.

An :data:`Exchange` is a generator that yields what it needs done (:class:`Call`, :class:`Pause`,
:class:`Work`), is sent the outcome or thrown its :class:`~tunesmith.client.errors.ComposerError`,
and returns its result. :mod:`tunesmith.client.connection` performs one by waiting, and
:mod:`tunesmith.client.aio` with asyncio, so that everything between is written once.
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
"""Seconds: the embedded server is back about ten after its start, TensorFlow Serving sooner."""

FIRST_CONTACT = 2.0
"""Seconds for a server that has never answered: more likely than away, the address is wrong."""

SHORTEST_PAUSE = 0.1
LONGEST_PAUSE = 2.0


@dataclass(frozen=True)
class ModelVersion:
    """A servable: a model's name and one version of it; None is the latest."""

    name: str
    version: int | None = None

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name} version {self.version}"

    def spec(self, signature: str = "") -> wire.ModelSpec:
        """Return the message that names this servable and `signature`."""
        spec = wire.ModelSpec(name=self.name, signature_name=signature)
        if self.version is not None:
            spec.version.value = self.version
        return spec


@dataclass(frozen=True)
class Call:
    """One gRPC call; its outcome is the response message.

    Args:
        method: of TensorFlow Serving's services.
        request: its request message.
        model: which servable it is about, for the message of an error.
        deadlines: how many times the usual deadline it may take.
    """

    method: Literal["Predict", "GetModelMetadata", "GetModelStatus"]
    request: Any
    model: ModelVersion
    deadlines: float = 1.0


@dataclass(frozen=True)
class Pause:
    """Doing nothing for so many seconds; the outcome is None."""

    seconds: float


@dataclass(frozen=True)
class Work:
    """A function that takes its time on this machine, such as reading a file."""

    function: Callable[[], Any]


Effect: TypeAlias = Call | Pause | Work
Exchange: TypeAlias = Generator[Effect, Any, T]


class Patience:
    """How long a server is waited for that is away (UNAVAILABLE) or overloaded.

    Calls are repeated with pauses that double from 0.1 s to 2 s, each shortened by up to a half at
    random, so that many clients do not come back at the same moment (Brooker 2015, "Exponential
    Backoff And Jitter").

    Args:
        seconds: for how long, once the server has answered; before that, 2 s at the most.
        jitter: gives uniform numbers in [0, 1).
        clock: seconds that only grow.
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

    def persistent(self, exchange: Exchange[T]) -> Exchange[T]:
        """Return the same exchange, whose calls are repeated while there is patience."""
        try:
            effect = next(exchange)
            while True:
                try:
                    outcome = yield from self._repeated(effect)
                except ComposerError as error:
                    effect = exchange.throw(error)
                else:
                    effect = exchange.send(outcome)
        except StopIteration as end:
            result: T = end.value
            return result

    def _repeated(self, effect: Effect) -> Exchange[Any]:
        started = self._clock()
        longest = SHORTEST_PAUSE
        while True:
            try:
                outcome = yield effect
            except (ConnectionClosed, MessageTooLarge):
                raise
            except ServerBusy as error:
                # It is there, if only to say so.
                self._answered = True
                seconds = self._pause(started, longest, error)
            except ServerUnavailable as error:
                seconds = self._pause(started, longest, error)
            else:
                self._answered = self._answered or isinstance(effect, Call)
                return outcome
            yield Pause(seconds)
            longest = min(2 * longest, LONGEST_PAUSE)

    def _pause(
        self, started: float, longest: float, error: ServerBusy | ServerUnavailable
    ) -> float:
        """Return how long to wait, or raise `error` where patience ends before that."""
        patience = self._seconds if self._answered else min(self._seconds, FIRST_CONTACT)
        seconds = longest * (1 - self._jitter() / 2)
        if self._clock() - started + seconds <= patience:
            return seconds
        if self._answered and isinstance(error, ServerUnavailable):
            raise ServerUnavailable(f"{error} (it has been away for {patience:g} s)") from error
        raise error
