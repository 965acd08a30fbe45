"""Structured logs of a server: lines of ``event key=value``, or one JSON object per line.

The modules of this package log an event, and its fields by the standard library's ``extra``, such
as ``_LOG.info("version loaded", extra={"model": name, "version": number})``. A value is one field
whatever characters it contains, so that text of a client cannot forge a line.
docs/embedded-server.md lists the events and their fields; a test compares them with the calls.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

LogFormat = Literal["text", "json"]

# Characters that would end a bare value, begin a quoted one, or break the line.
_NEEDS_QUOTES = re.compile(r"[\s\"=\\\x00-\x1f\x7f]|^$")

_NOT_FIELDS = {*vars(logging.makeLogRecord({})), "message", "asctime"}
"""Attributes that every record has, or that a formatter adds."""


def configure(
    log_format: LogFormat, level: int = logging.INFO, stream: TextIO | None = None
) -> None:
    """Write this package's log from `level` up, and warnings of other packages, to `stream`.

    Args:
        log_format: lines of text, or JSON objects.
        level: minimum level of this package's log, such as ``logging.INFO``; DEBUG logs each
            request.
        stream: standard error if None.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.addHandler(handler)
    # Python's own warnings would be written in another format.
    logging.captureWarnings(True)
    root.setLevel(logging.WARNING)
    logging.getLogger("tunesmith").setLevel(level)


class TextFormatter(logging.Formatter):
    """``2026-01-31T12:00:00.000Z INFO version loaded model=tunesmith version=3``.

    A value with a space, a quote or an equals sign in it is a JSON string. Tracebacks follow on
    lines of their own.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of `record`."""
        pairs = (f"{key}={_quoted(_text(value))}" for key, value in _fields(record).items())
        event = " ".join(record.getMessage().split())
        line = " ".join([_time(record), record.levelname, event, *pairs])
        trace = _trace(self, record)
        return f"{line}\n{trace}" if trace else line


class JsonFormatter(logging.Formatter):
    """One object per line: ``time``, ``level``, ``logger``, ``event`` and the event's fields.

    Finite numbers are numbers, any other value is text. A traceback is the field ``exception``.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the object of `record`, on one line."""
        entry: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        for key, value in _fields(record).items():
            is_number = isinstance(value, int | float) and math.isfinite(value)
            entry[key] = value if is_number else str(value)
        trace = _trace(self, record)
        if trace:
            entry["exception"] = trace
        return json.dumps(entry, ensure_ascii=False)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return what the call passed as ``extra``, in its order."""
    return {key: value for key, value in vars(record).items() if key not in _NOT_FIELDS}


def _text(value: object) -> str:
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if _NEEDS_QUOTES.search(text) else text


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return formatter.formatException(record.exc_info) if record.exc_info else ""
