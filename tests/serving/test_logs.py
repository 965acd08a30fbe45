"""The lines of a server's log, as text and as JSON."""

from __future__ import annotations

import ast
import io
import json
import logging
import re
import shlex
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tunesmith.serving import logs

ROOT = Path(__file__).resolve().parents[2]

Log = Callable[[str], tuple[logging.Logger, io.StringIO]]


@pytest.fixture
def log() -> Iterator[Log]:
    """``log(format)`` is this package's logger from DEBUG up, and what it wrote."""
    root, package = logging.getLogger(), logging.getLogger("tunesmith")
    handlers, levels = list(root.handlers), (root.level, package.level)

    def configured(log_format: Any) -> tuple[logging.Logger, io.StringIO]:
        written = io.StringIO()
        logs.configure(log_format, logging.DEBUG, written)
        return logging.getLogger("tunesmith.serving.test"), written

    yield configured
    logging.captureWarnings(False)
    for added in set(root.handlers) - set(handlers):
        root.removeHandler(added)
    root.setLevel(levels[0])
    package.setLevel(levels[1])


def test_a_line_of_text_is_an_event_and_its_fields(log: Log) -> None:
    logger, written = log("text")
    logger.info("version loaded", extra={"model": "bach", "version": 3, "seconds": 1.23})
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO version loaded model=bach version=3 "
        r"seconds=1\.23\n",
        written.getvalue(),
    )


@pytest.mark.parametrize("value", ["two words", "", 'a "quote"', "a=b", "line\nbreak", "\x1b[31m"])
def test_a_value_of_any_text_is_one_field(log: Log, value: str) -> None:
    logger, written = log("text")
    logger.warning("request refused", extra={"reason": value, "code": "NOT_FOUND"})
    line = written.getvalue()
    assert line.count("\n") == 1
    found = re.search(r' reason=("(?:[^"\\]|\\.)*") code=NOT_FOUND\n$', line)
    assert found
    assert json.loads(found[1]) == value


def test_a_line_of_text_splits_like_a_shell_does(log: Log) -> None:
    logger, written = log("text")
    logger.info("version broken", extra={"model": "bach", "reason": "no file"})
    assert shlex.split(written.getvalue())[-2:] == ["model=bach", "reason=no file"]


def test_a_line_of_json_is_one_object(log: Log) -> None:
    logger, written = log("json")
    logger.info("version loaded", extra={"model": "bach", "version": 3, "seconds": 1.23})
    logger.warning("version broken", extra={"reason": 'two\nlines and a "quote"'})
    first, second = (json.loads(line) for line in written.getvalue().splitlines())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("time"))
    assert first == {
        "level": "info",
        "logger": "tunesmith.serving.test",
        "event": "version loaded",
        "model": "bach",
        "version": 3,
        "seconds": 1.23,
    }
    assert second["level"] == "warning"
    assert second["reason"] == 'two\nlines and a "quote"'


def test_a_name_that_looks_like_a_number_stays_text(log: Log) -> None:
    logger, written = log("json")
    logger.info("serving", extra={"model": "007", "seconds": float("inf")})
    entry = json.loads(written.getvalue())
    assert (entry["model"], entry["seconds"]) == ("007", "inf")


def test_a_traceback_is_a_field_of_json_and_follows_a_line_of_text(log: Log) -> None:
    for log_format in ("json", "text"):
        logger, written = log(log_format)
        try:
            raise KeyError("surprise")
        except KeyError:
            logger.exception("polling failed", extra={"model": "bach"})
        if log_format == "json":
            entry = json.loads(written.getvalue())
            assert entry["event"] == "polling failed"
            assert "KeyError: 'surprise'" in entry["exception"]
        else:
            assert " ERROR polling failed model=bach\nTraceback " in written.getvalue()


def test_warnings_of_python_are_lines_like_the_others(log: Log) -> None:
    _, written = log("json")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("two\nlines", UserWarning, stacklevel=1)
    entry = json.loads(written.getvalue())
    assert (entry["level"], entry["logger"]) == ("warning", "py.warnings")
    assert "UserWarning: two\nlines" in entry["event"]


def test_messages_of_other_packages_are_events_without_fields(log: Log) -> None:
    _, written = log("json")
    other = logging.getLogger("grpc._server")
    other.warning("Exception calling %s: 100%%", "x=y")
    other.info("not worth a line")
    (entry,) = (json.loads(line) for line in written.getvalue().splitlines())
    assert list(entry) == ["time", "level", "logger", "event"]
    assert entry["event"] == "Exception calling x=y: 100%"


Event = tuple[str, str, tuple[str, ...]]


def logged_events() -> set[Event]:
    """The event, level and fields of each call of a logger in the package."""
    found = set()
    for file in sorted((ROOT / "serving").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            match node:
                case ast.Call(ast.Attribute(ast.Name("_LOG"), level), [*arguments], keywords) if (
                    level in ("debug", "info", "warning", "error", "exception")
                ):
                    (event,) = arguments
                    (extra,) = keywords
                    assert extra.arg == "extra"
                    assert isinstance(event, ast.Constant)
                    assert isinstance(extra.value, ast.Dict)
                    fields = tuple(ast.literal_eval(each) for each in extra.value.keys if each)
                    found.add((event.value, level.replace("exception", "error"), fields))
    return found


def documented_events() -> set[Event]:
    text = (ROOT / "docs" / "embedded-server.md").read_text("utf-8")
    rows = re.findall(r"^\| `([a-z_ ]+)` \| (\w+) \| ((?:`\w+`(?:, )?)+) \|", text, re.MULTILINE)
    return {(event, level, tuple(re.findall(r"\w+", fields))) for event, level, fields in rows}


def test_every_event_and_its_fields_are_documented() -> None:
    assert logged_events() == documented_events()


def test_no_field_has_the_name_of_another_key() -> None:
    # The standard library refuses a field with the name of a record's attribute.
    taken = {"time", "level", "logger", "event", "exception", *vars(logging.makeLogRecord({}))}
    assert not {field for _, _, fields in logged_events() for field in fields} & taken
