"""Batching parameters, in the format of TensorFlow Serving's ``--batching_parameters_file``.

This module does not import TensorFlow, so an invalid file is reported without that delay.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf import text_format

from tunesmith.serving.errors import ConfigInvalid
from tunesmith.serving.options import ServerOptions
from tunesmith.serving.protos.batching_parameters_pb2 import BatchingParameters as _Message

# TensorFlow's batching kernel holds each of them in 32 bits.
_LARGEST = 2**31 - 1


def _cores() -> int:
    return os.cpu_count() or 1


@dataclass(frozen=True)
class BatchingParameters:
    """Parameters of TensorFlow's batching kernel, validated when the object is created.

    The defaults were measured for the exported network on two cores with benchmarks/serve.py. A
    parameter that a file leaves out gets TensorFlow Serving's default instead, see
    :func:`read_parameters`.

    Attributes:
        max_batch_size: maximum number of rows in one request; a larger request is INVALID_ARGUMENT.
            1000 is TensorFlow Serving's default, so both servers refuse the same requests.
        batch_timeout_micros: microseconds that an idle batch thread waits for more requests. With
            0, a single client never waits; under load, requests queue while a batch is computed.
        max_enqueued_batches: maximum number of waiting batches; a request above it is UNAVAILABLE
            at once. A large request that is split counts once for each of its parts.
        num_batch_threads: number of batches computed at the same time.
        allowed_batch_sizes: sizes to which a batch is padded, ascending, for devices that compile
            or tune for each size; empty means no padding.
        enable_large_batch_splitting: split a request with more rows than
            `max_execution_batch_size` into several batches.
        max_execution_batch_size: maximum number of rows in one batch, with splitting; None means
            `max_batch_size`.

    Raises:
        ValueError: a value is out of range or contradicts another; the message is one line.
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 16
    num_batch_threads: int = field(default_factory=_cores)
    allowed_batch_sizes: tuple[int, ...] = field(default=())
    enable_large_batch_splitting: bool = True
    max_execution_batch_size: int | None = 64

    def __post_init__(self) -> None:
        at_least = {
            "max_batch_size": 1,
            "batch_timeout_micros": 0,
            "max_enqueued_batches": 0,
            "num_batch_threads": 1,
            "max_execution_batch_size": 1,
        }
        for name, least in at_least.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= _LARGEST:
                raise ValueError(f"{name} must be between {least} and {_LARGEST}, but is {value}")
        sizes = self.allowed_batch_sizes
        if any(size < 1 for size in sizes) or list(sizes) != sorted(set(sizes)):
            raise ValueError("allowed_batch_sizes must be positive and ascending")
        # bundle_factory_util.h, with or without splitting.
        if sizes and sizes[-1] != self.max_batch_size:
            raise ValueError(
                "the last entry of allowed_batch_sizes must equal max_batch_size "
                f"({self.max_batch_size}), but is {sizes[-1]}"
            )
        # shared_batch_scheduler.h; the two are not compared where nothing is split.
        if self.enable_large_batch_splitting and self.execution_batch_size > self.max_batch_size:
            raise ValueError(
                f"max_execution_batch_size ({self.max_execution_batch_size}) must not exceed "
                f"max_batch_size ({self.max_batch_size})"
            )

    @property
    def execution_batch_size(self) -> int:
        """Maximum number of rows in one batch."""
        if self.enable_large_batch_splitting and self.max_execution_batch_size is not None:
            return self.max_execution_batch_size
        return self.max_batch_size


def parameters(options: ServerOptions) -> BatchingParameters | None:
    """Return the batching parameters for these server options, or None without batching.

    Raises:
        ConfigInvalid: as :func:`read_parameters`.
    """
    if not options.batching:
        return None
    if options.batching_parameters_file is None:
        return BatchingParameters()
    return read_parameters(options.batching_parameters_file)


def read_parameters(path: Path) -> BatchingParameters:
    """Read a file in the format of TensorFlow Serving's ``--batching_parameters_file``.

    A parameter that the file leaves out gets TensorFlow Serving's default
    (shared_batch_scheduler.h), so that a file means the same to both servers.
    ``pad_variable_length_inputs`` has no effect here: a signature whose rows can differ in shape is
    not batched.

    Raises:
        ConfigInvalid: the file cannot be read or parsed, or its values are invalid.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise ConfigInvalid(f"cannot read the batching parameters {path}: {reason}") from error
    try:
        message = text_format.Parse(text, _Message())
    except text_format.ParseError as error:
        raise ConfigInvalid(_parse_failure(path, error)) from error
    try:
        return _from_message(message)
    except ValueError as error:
        raise ConfigInvalid(f"{path}: {error}") from error


def _parse_failure(path: Path, error: text_format.ParseError) -> str:
    # The parser's message begins with "line:column : ".
    line = error.GetLine()
    words = " ".join(str(error).split()).split(" : ", 1)[-1]
    return f"{path}{f', line {line}' if line else ''}: invalid batching parameters: {words}"


def _from_message(message: _Message) -> BatchingParameters:
    def given(name: str, default: int) -> int:
        return int(getattr(message, name).value) if message.HasField(name) else default  # type: ignore[arg-type]

    return BatchingParameters(
        max_batch_size=given("max_batch_size", 1000),
        batch_timeout_micros=given("batch_timeout_micros", 0),
        max_enqueued_batches=given("max_enqueued_batches", 10),
        num_batch_threads=given("num_batch_threads", _cores()),
        allowed_batch_sizes=tuple(message.allowed_batch_sizes),
        enable_large_batch_splitting=message.enable_large_batch_splitting.value,
        max_execution_batch_size=(
            message.max_execution_batch_size.value
            if message.HasField("max_execution_batch_size")
            else None
        ),
    )
