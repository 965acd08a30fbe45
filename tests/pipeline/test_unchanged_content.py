"""A change without an effect stops where it has none: what depends on equal content is cached."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tunesmith.components.component import ParameterSet
from tunesmith.components.evaluator.component import BlessingParameters, EvaluatorParameters
from tunesmith.components.example_gen.component import ExampleGenParameters
from tunesmith.components.infra_validator.component import INFRA_VALIDATOR
from tunesmith.components.networks.paper.sizes import PaperSizes
from tunesmith.components.progress import SilentProgress
from tunesmith.components.trainer.component import ServedSettings, TrainerParameters
from tunesmith.music import write_midi
from tunesmith.pipeline.dag import COMPONENTS, PipelineConfig
from tunesmith.pipeline.run import run_pipeline
from tunesmith.pipeline.store import STORE_NAME

# A server takes longer to start than all the others to be executed.
WITHOUT_A_SERVER = tuple(each for each in COMPONENTS if each is not INFRA_VALIDATOR)

PARAMETERS: dict[str, ParameterSet] = {
    "ExampleGen": ExampleGenParameters(minimum_frames=10, eval_fraction=0.3),
    "Trainer": TrainerParameters(
        architecture=PaperSizes(embedding=4, units=4, layers=1, dense=4, window=5),
        epochs=1,
        settings=ServedSettings(sampling_seconds=0),
    ),
    "Evaluator": EvaluatorParameters(BlessingParameters(beat=()), songs=1, steps=5),
}


def executions(root: Path) -> list[str]:
    """Return the component of each execution, in order."""
    if not root.exists():
        return []
    with sqlite3.connect(root / STORE_NAME) as connection:
        rows = connection.execute("SELECT component FROM executions ORDER BY id").fetchall()
    return [component for (component,) in rows]


def executed(config: PipelineConfig) -> list[str]:
    """Run a pipeline and return the components that were executed."""
    before = executions(config.root)
    run_pipeline(config, SilentProgress())
    return executions(config.root)[len(before) :]


def changed(config: PipelineConfig, component: str, **changes: Any) -> PipelineConfig:
    (found,) = (each for each in config.components if each.name == component)
    parameters = replace(config.parameters_of(found), **changes)
    return replace(config, parameters={**config.parameters, component: parameters})


@pytest.mark.long
def test_a_change_without_an_effect_trains_nothing_again(tmp_path: Path) -> None:
    midi, root = tmp_path / "midi", tmp_path / "root"
    midi.mkdir()
    for number in range(12):
        scale = [(48 + number + step % 7,) for step in range(20)]
        write_midi(scale, midi / f"{number}.mid", 5.0)
    config = PipelineConfig(midi, root, PARAMETERS, components=WITHOUT_A_SERVER)
    everything = [each.name for each in WITHOUT_A_SERVER]
    assert executed(config) == everything
    assert executed(config) == []
    # Parameters that no result depends on.
    assert executed(changed(config, "Trainer", checkpoint_seconds=7.0)) == []
    assert executed(changed(config, "Pusher", keep=2)) == []
    # It admits no further song.
    assert executed(changed(config, "ExampleGen", minimum_frames=9)) == ["ExampleGen"]
    # One more rejected file is no other music.
    write_midi([(60 + step % 5,) for step in range(9)], midi / "short.mid", 5.0)
    assert executed(config) == ["ExampleGen", "Transform", "StatisticsGen", "ExampleValidator"]
    assert [path.name for path in (root / "models" / "tunesmith").iterdir()] == ["1"]
    # And now it admits that one.
    assert executed(changed(config, "ExampleGen", minimum_frames=9)) == everything
