"""Structured logs of a server: lines of ``event key=value``, or one JSON object a line.

The package's modules log an event and its fields through the standard library, such as
``_LOG.info("version loaded model=%s version=%d", name, number)``. The formatters here take the
fields from the template and its arguments, so that a value is one field whatever is in it; text of
a client's cannot forge a line.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

LogFormat = Literal["text", "json"]

_FIELD = re.compile(r"(?P<key>[a-z][a-z0-9_]*)=(?P<spec>%[-#0 +]*\d*(?:\.\d+)?[sdfg])(?=\s|$)")
_DIRECTIVE = re.compile(r"%(?!%)")
# What would end a bare value, begin a quoted one, or break the line.
_NEEDS_QUOTES = re.compile(r"[\s\"=\\\x00-\x1f\x7f]|^$")


def configure(
    log_format: LogFormat, level: int = logging.INFO, stream: TextIO | None = None
) -> None:
    """Send this package's log from `level` up, and other packages' warnings, to `stream`.

    Args:
        log_format: lines of text, or of JSON.
        level: of the standard library, such as ``logging.INFO``; DEBUG logs each request.
        stream: standard error if None.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.addHandler(handler)
    # Python's own warnings would be lines of another kind.
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
        event, fields = _parts(record)
        pairs = (f"{key}={_quoted(text)}" for key, text, _ in fields)
        line = " ".join([_time(record), record.levelname, _one_line(event), *pairs])
        trace = _trace(self, record)
        return f"{line}\n{trace}" if trace else line


class JsonFormatter(logging.Formatter):
    """One object a line: ``time``, ``level``, ``logger``, ``event`` and the event's fields.

    Numbers are numbers. A traceback is the field ``exception``.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the object of `record`, on one line."""
        event, fields = _parts(record)
        entry: dict[str, Any] = {key: _value(text, given) for key, text, given in fields}
        trace = _trace(self, record)
        if trace:
            entry["exception"] = trace
        entry = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": event,
        } | entry
        return json.dumps(entry, ensure_ascii=False)


_Field = tuple[str, str, Any]


def _parts(record: logging.LogRecord) -> tuple[str, list[_Field]]:
    """Return the event and its fields: key, text and argument.

    A message of another shape, such as another package's, is an event without fields.
    """
    template = str(record.msg)
    found = list(_FIELD.finditer(template))
    args = record.args if isinstance(record.args, tuple) else ()
    if not found or len(found) != len(_DIRECTIVE.findall(template)) or len(found) != len(args):
        return record.getMessage(), []
    return template[: found[0].start()].strip(), list(_fields(found, args))


def _fields(found: list[re.Match[str]], args: tuple[object, ...]) -> Iterator[_Field]:
    for match, given in zip(found, args, strict=True):
        yield match["key"], match["spec"] % given, given


def _value(text: str, given: object) -> Any:
    """Return a field's JSON value: a number as it was rounded, anything else as text."""
    if isinstance(given, bool):
        return given
    if isinstance(given, int) and text.lstrip("-").isdecimal():
        return int(text)
    if isinstance(given, float) and math.isfinite(given):
        return float(text)
    return text


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if _NEEDS_QUOTES.search(text) else text


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return formatter.formatException(record.exc_info) if record.exc_info else ""
