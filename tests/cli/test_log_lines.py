"""``--log-format json``: one object a line, with time, level, message and component."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tunesmith.cli import log_lines, main
from tunesmith.cli.console import ConsoleProgress
from tunesmith.components.progress import executing


def lines(monkeypatch: pytest.MonkeyPatch, capsys: Any, *arguments: object) -> tuple[int, Any]:
    """Run a command line: its exit code, and each line of its standard error as JSON."""
    monkeypatch.setattr(sys, "argv", ["tunesmith", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main.main()
    return int(ended.value.code or 0), [
        json.loads(line) for line in capsys.readouterr().err.splitlines()
    ]


@pytest.fixture(autouse=True)
def text_afterwards() -> Any:
    yield
    log_lines.use_format("text")


def test_an_error_of_a_run_is_the_last_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "a.mid").write_text("a diary")
    code, told = lines(
        monkeypatch,
        capsys,
        *("run", "--midi-dir", tmp_path, "--root", tmp_path / "root", "--log-format", "json"),
        *("--until", "ExampleGen", "--epochs", 3),
    )
    assert code == 1
    assert told[0]["level"] == "warning"
    assert told[0]["message"] == "--epochs has no effect: Trainer is not part of this run"
    assert told[-1]["level"] == "error"
    assert told[-1]["component"] == "ExampleGen"
    assert told[-1]["message"].startswith("all 1 files were rejected")
    for each in told:
        assert each["time"].endswith("Z")
        assert abs(datetime.fromisoformat(each["time"]) - datetime.now(UTC)).total_seconds() < 3600


@pytest.mark.parametrize(
    "arguments",
    [
        ("--log-format", "json", "--epochs", "0"),
        ("--log-format=json", "--no-such-option"),
        ("--epochs", "many", "--log-format=json", "--", "--log-format", "text"),
    ],
)
def test_a_usage_error_is_json_too(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
) -> None:
    code, told = lines(monkeypatch, capsys, "run", "--midi-dir", "m", "--root", "r", *arguments)
    assert (code, [each["level"] for each in told]) == (2, ["error"])


def test_the_environment_chooses_the_format_unless_the_command_line_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TUNESMITH_RUN_LOG_FORMAT", "json")
    monkeypatch.setenv("TUNESMITH_RUN_SERVICE_HOST", "10.0.0.1")
    _, told = lines(monkeypatch, capsys, "run", "--epochs", "0")
    assert [each["level"] for each in told] == ["warning", "error"]
    monkeypatch.setattr(sys, "argv", ["tunesmith", "run", "--log-format", "text"])
    with pytest.raises(SystemExit):
        main.main()
    assert capsys.readouterr().err.startswith("tunesmith: warning: ignored TUNESMITH_RUN_SERVICE")


def test_progress_names_the_component_and_a_warning_has_its_level(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log_lines.use_format("json")
    progress = ConsoleProgress()
    with executing("Trainer"), progress.task("training", total=4):
        progress.say("warning: another keras is installed")
    progress.say("done")
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(each["level"], each["message"], each.get("component")) for each in told] == [
        ("info", "training ...", "Trainer"),
        ("warning", "another keras is installed", "Trainer"),
        ("info", "done", None),
    ]


def test_text_stays_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    progress = ConsoleProgress()
    with progress.task("training"):
        progress.say("warning: another keras is installed")
    assert capsys.readouterr().err == "training ...\nwarning: another keras is installed\n"
