"""Answers that are not OK: a gRPC status code with TensorFlow Serving's words.

The words are those that TensorFlow Serving answered when asked over gRPC, so that a client's
handling of errors works against either engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import grpc

_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


_FUNCTION_NODES = re.compile(r"^(\{\{function_node [^}]*\}\} ?)+")


class RequestError(Exception):
    """A request that is answered with a status other than OK.

    Attributes:
        code: the gRPC status code.
        message: the status message.
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
    """Return the status that a ``tf.errors.OpError`` stands for: same code, same message.

    Where in the graph it happened is left out in front, as it is where functions are inlined.
    """
    message = _FUNCTION_NODES.sub("", error.message)
    return RequestError(_CODES.get(error.error_code, grpc.StatusCode.UNKNOWN), message)


def braced(names: Iterable[str]) -> str:
    """Return `names` as TensorFlow Serving prints a set: sorted, ``{a,b}``."""
    return "{" + ",".join(sorted(names)) + "}"
