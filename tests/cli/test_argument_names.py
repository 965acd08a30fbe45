"""A refused argument has the name that its user gave it: option, variable, key or parameter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tunesmith.cli.argument_names import arguments_named, with_option_names
from tunesmith.components.errors import ArgumentError, ComponentError, UnusableSource
from tunesmith.components.sources.source import list_songs
from tunesmith.pipeline.history import NotARoot, read_runs

Invoke = Callable[..., Result]

MISSING = "is not a folder or an archive: give a folder of MIDI files"


@pytest.fixture
def absent(tmp_path: Path) -> Path:
    """A folder that does not exist."""
    return tmp_path / "absent"


def test_an_option_is_named_by_run_and_preprocess(
    invoke: Invoke, absent: Path, tmp_path: Path
) -> None:
    for command, output in (("run", "--root"), ("preprocess", "--output")):
        done = invoke(command, "--midi-dir", absent, output, tmp_path / "out")
        assert str(done.exception) == f"--midi-dir {absent} {MISSING}"


def test_a_variable_is_named(invoke: Invoke, absent: Path, tmp_path: Path) -> None:
    done = invoke("run", "--root", tmp_path, TUNESMITH_RUN_MIDI_DIR=str(absent))
    assert str(done.exception) == f"TUNESMITH_RUN_MIDI_DIR {absent} {MISSING}"
    done = invoke("runs", TUNESMITH_RUNS_ROOT=str(absent))
    assert str(done.exception).startswith(f"TUNESMITH_RUNS_ROOT {absent} is not the root")


def test_file_and_key_are_named(invoke: Invoke, absent: Path, tmp_path: Path) -> None:
    config = tmp_path / "pipeline.toml"
    config.write_text(f"midi_dir = '{absent}'\nroot = '{tmp_path / 'root'}'\n")
    done = invoke("run", "--config", config)
    assert str(done.exception) == f"{config}: midi_dir {absent} {MISSING}"


def test_the_input_of_a_component_is_named(invoke: Invoke, tmp_path: Path) -> None:
    song = tmp_path / "song.mid"
    song.touch()
    done = invoke("component", "ExampleGen", "--root", tmp_path, "--input", song)
    assert str(done.exception) == f"--input {song} is a single file: give its folder"


def test_a_parameter_of_set_is_named(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("component", "Trainer", "--root", tmp_path, "--set", "epochs=0")
    assert "--set epochs must be at least 1, not 0" in done.output


def test_python_has_the_name_of_the_parameter(absent: Path) -> None:
    with pytest.raises(UnusableSource) as refused:
        list_songs(absent)
    assert str(refused.value) == f"midi_dir {absent} {MISSING}"
    with pytest.raises(NotARoot, match=r"^root "):
        read_runs(absent)


def test_an_option_of_the_client_is_named(invoke: Invoke) -> None:
    done = invoke("generate", "--server", "localhost:1", "--steps", "0")
    assert str(done.exception).startswith("--steps must be at least 1")


def test_a_parameter_in_an_advice_has_the_name_of_its_option() -> None:
    assert with_option_names("a smaller trainer.learning_rate, not /a/trainer.batch") == (
        "a smaller --learning-rate, not /a/trainer.batch"
    )
    names = {"trainer.batch": "pipeline.toml: trainer.batch"}
    with pytest.raises(ComponentError) as told, arguments_named(names):
        raise ComponentError("trainer.batch must be a multiple of 3, as in statistics.json")
    assert str(told.value) == (
        "pipeline.toml: trainer.batch must be a multiple of 3, as in statistics.json"
    )


def test_the_name_of_the_inner_block_stays() -> None:
    outer, inner = {"root": "--root"}, {"root": "pipeline.toml: root"}
    with (
        pytest.raises(ArgumentError, match=r"^pipeline.toml: root /a is full$"),
        arguments_named(outer),
        arguments_named(inner),
    ):
        raise ArgumentError("root", "/a is full")
