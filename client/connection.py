"""One gRPC channel to a model server, waited on: performs exchanges, and names what goes wrong.

Every call has a deadline, a server that is away is asked again, and every failure becomes one of
:mod:`tunesmith.client.errors`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import grpc
from numpy.typing import NDArray

from tunesmith.client import calls, errors
from tunesmith.client.exchange import (
    DEFAULT_PATIENCE,
    Call,
    Effect,
    Exchange,
    ModelVersion,
    Patience,
    Pause,
)
from tunesmith.client.protos import tunesmith_wire_pb2 as wire

__all__ = ["Address", "Connection", "ModelVersion", "open_channel", "tls_credentials"]

T = TypeVar("T")

DEFAULT_DEADLINE = 30.0
"""Seconds for one call: far above a forward pass, below a person's patience."""

_PREDICTION = "/tensorflow.serving.PredictionService"
_MODEL = "/tensorflow.serving.ModelService"

METHODS: dict[str, tuple[str, Any]] = {
    "Predict": (f"{_PREDICTION}/Predict", wire.PredictResponse),
    "GetModelMetadata": (f"{_PREDICTION}/GetModelMetadata", wire.GetModelMetadataResponse),
    "GetModelStatus": (f"{_MODEL}/GetModelStatus", wire.GetModelStatusResponse),
}
"""The path and the response message of each call."""

_CHANNEL_OPTIONS = (
    # A call that is repeated needs a channel that tries to connect as often; gRPC would wait a
    # second before its second try, and minutes later on.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # gRPC's 4 MB would stop 1,000 rows of a vocabulary of 1,000 frames.
    ("grpc.max_receive_message_length", 256 * 2**20),
)

# Of gRPC's own words for a message over a limit, on either side.
_OVER_A_LIMIT = "message larger than max"


@dataclass(frozen=True)
class Address:
    """Where a server is, how it is reached, and how long it may take.

    Args:
        target: ``HOST:PORT``, ``[IPv6]:PORT`` or ``unix:PATH``.
        deadline: seconds that one call may take.
        credentials: of :func:`tls_credentials` or grpc itself; plain text if None.

    Raises:
        BadAddress: the address has no port.
        BadOption: the deadline is not positive.
    """

    target: str
    deadline: float = DEFAULT_DEADLINE
    credentials: grpc.ChannelCredentials | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        port = self.target.rpartition(":")[2]
        if not self.target.startswith("unix:") and not port.isdecimal():
            raise errors.BadAddress(f"{self.target!r} is no server address: write HOST:PORT")
        if not self.deadline > 0:
            raise errors.BadOption(
                f"a deadline is a positive number of seconds, not {self.deadline:g}"
            )

    def seconds(self, call: Call) -> float:
        """Return how long `call` may take."""
        return self.deadline * call.deadlines

    def closed(self) -> errors.ComposerError:
        """Return the error of a channel that was closed."""
        return errors.ConnectionClosed(f"the connection to {self.target} is closed: open a new one")

    def error(self, failure: Any, call: Call) -> errors.ComposerError:
        """Return the error that the gRPC status of a failed `call` stands for."""
        status = failure.code().name
        details = " ".join((failure.details() or "").split())
        match status:
            # Calls that a stopping server cuts off are cancelled. Ours end with the channel.
            case "UNAVAILABLE" | "CANCELLED":
                hint = "start one with `tunesmith serve`, or check the address"
                if self.credentials is not None:
                    hint += " and the TLS certificates"
                return errors.ServerUnavailable(f"no server answers at {self.target}: {hint}")
            case "DEADLINE_EXCEEDED":
                return errors.ServerTooSlow(
                    f"{self.target} did not answer within {self.seconds(call):g} s: "
                    "give a longer deadline"
                )
            case "RESOURCE_EXHAUSTED" if _OVER_A_LIMIT in details:
                return errors.MessageTooLarge(
                    f"a message to or from {self.target} is too large, ask for fewer songs: "
                    f"{details}"
                )
            case "RESOURCE_EXHAUSTED":
                return errors.ServerBusy(
                    f"{self.target} is overloaded, try again or with fewer songs: {details}"
                )
            case "NOT_FOUND":
                return errors.ModelNotFound(
                    f"the server at {self.target} does not serve {call.model}: "
                    "check the model's name and version"
                )
            case "UNIMPLEMENTED":
                return errors.NotAComposer(
                    f"the program at {self.target} is no model server: check the address"
                )
        return errors.ServerError(f"{self.target} answered {status}: {details}", status, details)


def open_channel(address: Address, library: Any) -> tuple[Any, dict[str, Callable[..., Any]]]:
    """Return a channel to `address`, and the function of each of the :data:`METHODS`.

    Args:
        address: where to.
        library: ``grpc`` or ``grpc.aio``.
    """
    channel = (
        library.insecure_channel(address.target, options=_CHANNEL_OPTIONS)
        if address.credentials is None
        else library.secure_channel(address.target, address.credentials, options=_CHANNEL_OPTIONS)
    )
    functions = {
        name: channel.unary_unary(
            path,
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=response.FromString,
        )
        for name, (path, response) in METHODS.items()
    }
    return channel, functions


def tls_credentials(
    ca: str | Path | None = None,
    certificate: str | Path | None = None,
    key: str | Path | None = None,
) -> grpc.ChannelCredentials:
    """Return TLS credentials from PEM files.

    Args:
        ca: the authorities that the server's certificate may come from; those of gRPC if None.
        certificate: this client's own, for a server that asks for one (mutual TLS).
        key: the private key of `certificate`.

    Raises:
        BadOption: a file cannot be read, or only one of `certificate` and `key` is given.
    """
    if (certificate is None) != (key is None):
        raise errors.BadOption("a client's TLS certificate and its key go together: give both")

    def read(path: str | Path | None) -> bytes | None:
        try:
            return None if path is None else Path(path).read_bytes()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise errors.BadOption(f"cannot read the TLS file {path}: {reason}") from error

    return grpc.ssl_channel_credentials(read(ca), read(key), read(certificate))


class Connection:
    """A channel, opened once and used until :meth:`close`; safe to share between threads.

    Args:
        address: ``HOST:PORT``, ``[IPv6]:PORT`` or ``unix:PATH``.
        deadline: seconds that one call may take.
        credentials: TLS credentials, see :func:`tls_credentials`; plain text if None.
        patience: how long a server is waited for that is away or overloaded.

    Raises:
        BadAddress: the address has no port.
        BadOption: the deadline is not positive.
    """

    def __init__(
        self,
        address: str,
        deadline: float = DEFAULT_DEADLINE,
        credentials: grpc.ChannelCredentials | None = None,
        patience: Patience | float = DEFAULT_PATIENCE,
    ) -> None:
        self._address = Address(address, deadline, credentials)
        self._patience = patience if isinstance(patience, Patience) else Patience(patience)
        self._channel, self._functions = open_channel(self._address, grpc)

    def close(self) -> None:
        """Close the channel; calls that are under way are cancelled."""
        self._channel.close()

    def perform(self, exchange: Exchange[T]) -> T:
        """Return the result of `exchange`, waiting for each of its steps.

        Raises:
            ComposerError: a call failed, or the exchange itself says so.
        """
        steps = self._patience.persistent(exchange)
        try:
            effect = next(steps)
            while True:
                try:
                    outcome = self._outcome(effect)
                except errors.ComposerError as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(outcome)
        except StopIteration as end:
            result: T = end.value
            return result

    def predict(
        self, model: ModelVersion, signature: str, inputs: calls.Inputs
    ) -> dict[str, NDArray[Any]]:
        """See :func:`tunesmith.client.calls.predict`."""
        return self.perform(calls.predict(model, signature, inputs))

    def signatures(self, model: ModelVersion) -> tuple[ModelVersion, dict[str, wire.SignatureDef]]:
        """See :func:`tunesmith.client.calls.signatures`."""
        return self.perform(calls.signatures(model))

    def available_versions(self, name: str) -> list[int]:
        """See :func:`tunesmith.client.calls.available_versions`."""
        return self.perform(calls.available_versions(name))

    def _outcome(self, effect: Effect) -> Any:
        if isinstance(effect, Pause):
            return time.sleep(effect.seconds)
        if not isinstance(effect, Call):
            return effect.function()
        try:
            function = self._functions[effect.method]
            return function(effect.request, timeout=self._address.seconds(effect))
        except grpc.RpcError as error:
            raise self._address.error(error, effect) from error
        except ValueError as error:  # grpc's word for a channel that was closed
            raise self._address.closed() from error
