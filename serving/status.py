"""Errors of requests: a gRPC status code with TensorFlow Serving's message.

The messages are those that TensorFlow Serving sends over gRPC, so that the error handling of a
client works with every engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import grpc

_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


_FUNCTION_NODES = re.compile(r"^(\{\{function_node [^}]*\}\} ?)+")


class RequestError(Exception):
    """The status of a request that failed.

    Attributes:
        code: gRPC status code, not OK.
        message: status message.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid_argument(message: str) -> RequestError:
    """Return INVALID_ARGUMENT with `message`."""
    return RequestError(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> RequestError:
    """Return NOT_FOUND with `message`."""
    return RequestError(grpc.StatusCode.NOT_FOUND, message)


def from_tensorflow(error: Any) -> RequestError:
    """Return the status of a ``tf.errors.OpError``, with the same code and message.

    Names of functions at the start of the message are removed; errors in inlined functions have
    none.
    """
    message = _FUNCTION_NODES.sub("", error.message)
    return RequestError(_CODES.get(error.error_code, grpc.StatusCode.UNKNOWN), message)


def braced(names: Iterable[str]) -> str:
    """Return `names` as TensorFlow Serving prints a set: sorted, ``{a,b}``."""
    return "{" + ",".join(sorted(names)) + "}"
