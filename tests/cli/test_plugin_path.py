"""``--plugin-path`` of the commands that run components."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from tunesmith.pipeline.dag import PipelineConfig
from tunesmith.plugins import set_plugin_path

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
ENGINE = "low_priority_engine:LowPriority"


@pytest.fixture(autouse=True)
def tidied_up() -> Iterator[None]:
    yield
    set_plugin_path([])


def test_a_run_finds_a_plug_in_on_the_path(configured: Callable[..., PipelineConfig]) -> None:
    # The order of the options does not matter.
    config = configured("--engine", ENGINE, "--plugin-path", EXAMPLES)
    assert config.parameters["InfraValidator"].engine == ENGINE
    set_plugin_path([])
    config = configured("--engine", ENGINE, TUNESMITH_PLUGIN_PATH=str(EXAMPLES))
    assert config.parameters["InfraValidator"].engine == ENGINE


def test_a_plug_in_that_is_not_on_the_path_is_refused_at_once(
    invoke: Callable[..., Result],
) -> None:
    done = invoke("run", "--midi-dir", "m", "--root", "r", "--engine", ENGINE)
    assert done.exit_code == 2
    assert f"--engine cannot be {ENGINE}: there is no module low_priority_engine" in done.output
