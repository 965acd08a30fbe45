"""A blocking gRPC channel to a model server that performs exchanges.

Every call has a deadline, calls to an unavailable server are retried, and every failure is raised
as one of :mod:`tunesmith.client.errors`.
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
    Pause,
    RetryPolicy,
)
from tunesmith.client.protos import tunesmith_wire_pb2 as wire

__all__ = ["Address", "Connection", "ModelVersion", "open_channel", "tls_credentials"]

T = TypeVar("T")

DEFAULT_DEADLINE = 30.0
"""Maximum duration of one call in seconds, far above that of a forward pass."""

_PREDICTION = "/tensorflow.serving.PredictionService"
_MODEL = "/tensorflow.serving.ModelService"

METHODS: dict[str, tuple[str, Any]] = {
    "Predict": (f"{_PREDICTION}/Predict", wire.PredictResponse),
    "GetModelMetadata": (f"{_PREDICTION}/GetModelMetadata", wire.GetModelMetadataResponse),
    "GetModelStatus": (f"{_MODEL}/GetModelStatus", wire.GetModelStatusResponse),
}
"""Path and response message of each call."""

_CHANNEL_OPTIONS = (
    # The channel must try to connect as often as calls are retried; by default gRPC waits a second
    # before its second try, and up to minutes later.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # gRPC's default of 4 MB is too small for 1,000 rows of a vocabulary of 1,000 frames.
    ("grpc.max_receive_message_length", 256 * 2**20),
)

# Part of gRPC's message if a request or a response is over a size limit.
_OVER_A_LIMIT = "message larger than max"


@dataclass(frozen=True)
class Address:
    """Address, credentials and deadline of a server.

    Args:
        target: ``HOST:PORT``, ``[IPv6]:PORT`` or ``unix:PATH``.
        deadline: maximum duration of one call, in seconds.
        credentials: from :func:`tls_credentials` or grpc; None for no TLS.

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
            raise errors.BadAddress(f"{self.target!r} is not a server address: write HOST:PORT")
        if not self.deadline > 0:
            raise errors.BadOption(
                f"a deadline must be a positive number of seconds, not {self.deadline:g}"
            )

    def seconds(self, call: Call) -> float:
        """Return the deadline of `call` in seconds."""
        return self.deadline * call.deadlines

    def closed(self) -> errors.ComposerError:
        """Return the error of a closed channel."""
        return errors.ConnectionClosed(f"the connection to {self.target} is closed: open a new one")

    def error(self, failure: Any, call: Call) -> errors.ComposerError:
        """Return the error for the gRPC status of a failed `call`."""
        status = failure.code().name
        details = " ".join((failure.details() or "").split())
        match status:
            # A stopping server cancels the calls that it does not finish.
            case "UNAVAILABLE" | "CANCELLED":
                hint = "start one with `tunesmith serve`, or check the address"
                if self.credentials is not None:
                    hint += " and the TLS certificates"
                return errors.ServerUnavailable(f"no server answers at {self.target}: {hint}")
            case "DEADLINE_EXCEEDED":
                return errors.ServerTooSlow(
                    f"{self.target} did not answer within {self.seconds(call):g} s: "
                    "set a longer deadline"
                )
            case "RESOURCE_EXHAUSTED" if _OVER_A_LIMIT in details:
                return errors.MessageTooLarge(
                    f"a message to or from {self.target} is too large: generate fewer songs at "
                    f"once ({details})"
                )
            case "RESOURCE_EXHAUSTED":
                return errors.ServerBusy(
                    f"{self.target} is overloaded: try again, or generate fewer songs ({details})"
                )
            case "NOT_FOUND":
                return errors.ModelNotFound(
                    f"the server at {self.target} does not serve {call.model}: "
                    "check the model's name and version"
                )
            case "UNIMPLEMENTED":
                return errors.NotAComposer(
                    f"the program at {self.target} is not a model server: check the address"
                )
        return errors.ServerError(f"{self.target} answered {status}: {details}", status, details)


def open_channel(address: Address, library: Any) -> tuple[Any, dict[str, Callable[..., Any]]]:
    """Return a channel to `address`, and a function for each of the :data:`METHODS`.

    Args:
        address: address of the server.
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
        ca: certificates of the CA of the server; None uses gRPC's default CAs.
        certificate: client certificate, if the server requires one (mutual TLS).
        key: private key of `certificate`.

    Raises:
        BadOption: a file cannot be read, or only one of `certificate` and `key` is given.
    """
    if (certificate is None) != (key is None):
        raise errors.BadOption(
            "a TLS client certificate needs its private key, and the reverse: give both"
        )

    def read(path: str | Path | None) -> bytes | None:
        try:
            return None if path is None else Path(path).read_bytes()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise errors.BadOption(f"cannot read the TLS file {path}: {reason}") from error

    return grpc.ssl_channel_credentials(read(ca), read(key), read(certificate))


class Connection:
    """A gRPC channel, used until :meth:`close`; threads may share it.

    Args:
        address: ``HOST:PORT``, ``[IPv6]:PORT`` or ``unix:PATH``.
        deadline: maximum duration of one call, in seconds.
        credentials: TLS credentials, see :func:`tls_credentials`; None for no TLS.
        patience: maximum time in seconds to retry a call, or a retry policy.

    Raises:
        BadAddress: the address has no port.
        BadOption: the deadline is not positive.
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
        self._channel, self._functions = open_channel(self._address, grpc)

    def close(self) -> None:
        """Close the channel; running calls are cancelled."""
        self._channel.close()

    def perform(self, exchange: Exchange[T]) -> T:
        """Perform `exchange` and return its result.

        Raises:
            ComposerError: a call failed, or the exchange raised the error.
        """
        steps = self._retries.with_retries(exchange)
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
        except ValueError as error:  # raised by grpc for a closed channel
            raise self._address.closed() from error
