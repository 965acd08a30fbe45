"""Fixtures of the tests of the command line: commands that are run in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result

from tunesmith.cli import log_lines
from tunesmith.cli.main import cli
from tunesmith.pipeline.dag import PipelineConfig


@pytest.fixture
def invoke() -> Iterator[Callable[..., Result]]:
    """``invoke("run", argument, …, VARIABLE=value)``, without what main() makes of errors."""

    def call(*arguments: object, **variables: str) -> Result:
        return CliRunner().invoke(cli, [str(each) for each in arguments], env=variables)

    yield call
    log_lines.use_format("text")


@pytest.fixture
def configured(
    monkeypatch: pytest.MonkeyPatch, invoke: Callable[..., Result]
) -> Callable[..., PipelineConfig]:
    """``configured("--epochs", 3)``: the configuration that ``tunesmith run`` would run."""
    seen: list[PipelineConfig] = []
    monkeypatch.setattr("tunesmith.cli.run.run_and_report", lambda config, *_: seen.append(config))

    def call(*arguments: object, **variables: str) -> PipelineConfig:
        done = invoke("run", "--midi-dir", "m", "--root", "r", *arguments, **variables)
        assert done.exit_code == 0, (done.output, done.exception)
        return seen.pop()

    return call
