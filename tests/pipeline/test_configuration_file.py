"""A configuration as TOML: what was set comes back, and what cannot be is named by file and key."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.pipeline.configuration import ConfigurationError, Setting, merged, pipeline_config
from tunesmith.pipeline.configuration_file import (
    configuration_text,
    parse_configuration,
    read_configuration,
)
from tunesmith.pipeline.configuration_keys import known_keys


def parsed(text: str, folder: Path = Path("/here")) -> dict[str, Setting]:
    return parse_configuration(text, "pipeline.toml", "file pipeline.toml", folder)


def folders_and(**values: Any) -> dict[str, Setting]:
    return {
        key: Setting(value, "option", f"--{key}")
        for key, value in {"midi_dir": Path("/m"), "root": Path("/r"), **values}.items()
    }


# A surrogate alone is no text that TOML can hold; a test below says what becomes of such a path.
PATHS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1).map(
    lambda name: Path("/", name)
)


@settings(deadline=None, max_examples=25)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "midi_dir": PATHS,
            "beam_options": st.lists(st.text().map("-".__add__)).map(tuple),
            "from": st.sampled_from(["ExampleGen", "Transform"]),
            "until": st.sampled_from(["Trainer", "Pusher"]),
            "rerun": st.lists(st.sampled_from(["Trainer", "Evaluator"]), unique=True).map(tuple),
            "example_gen.grid.keep_short_notes": st.booleans(),
            "example_gen.grid.frames_per_second": st.floats(0.001, 999),
            "transform.encoding": st.sampled_from(["frames", "struck"]),
            "transform.transpose": st.sampled_from(["auto", "none", "-5..6", "0..24"]),
            "example_gen.grid.pitch_range": st.tuples(st.integers(0, 60), st.integers(60, 127)),
            "statistics_gen.stretches": st.lists(st.integers(3), min_size=1).map(tuple),
            "trainer.clip_norm": st.none() | st.floats(0, exclude_min=True),
            "trainer.tensorboard": st.none() | PATHS,
            "trainer.checkpoint_steps": st.none() | st.integers(1),
            "trainer.schedule.shape": st.sampled_from(["constant", "cosine", "plateau"]),
            "trainer.architecture.units": st.integers(1),
            "trainer.network": st.sampled_from(["paper", "causal"]),
            "evaluator.blessing.beat": st.lists(st.sampled_from(["unigram", "repeat"])).map(tuple),
        },
    )
)
def test_the_text_of_a_configuration_makes_the_same_configuration(values: dict[str, Any]) -> None:
    chosen = folders_and(**values)
    text = configuration_text(chosen)
    assert pipeline_config(parsed(text)) == pipeline_config(chosen)


def test_the_text_tells_meaning_bounds_and_origin_of_each_value() -> None:
    chosen = {**folders_and(), "trainer.epochs": Setting(3, "environment TUNESMITH_RUN_EPOCHS", "")}
    text = configuration_text(chosen)
    assert (
        "# Maximum number of epochs. [at least 1]\n"
        "epochs = 3  # environment TUNESMITH_RUN_EPOCHS\n" in text
    )
    assert "[ms; at least 0]\nmedian_ms = 200.0  # default\n" in text
    assert 'tensorboard = "none"  # default\n' in text
    tables = tomllib.loads(text)
    assert tables["trainer"]["schedule"]["shape"] == "cosine"
    assert tables["trainer"]["architecture"]["dense"] == 64


def test_an_encoding_that_needs_onsets_has_them_kept() -> None:
    struck = {**folders_and(), "transform.encoding": Setting("struck", "option --encoding", "")}
    plain = {**struck, "transform.encoding": Setting("frames", "option --encoding", "")}
    for settings_, keeps in ((struck, True), (plain, False), (folders_and(), False)):
        parameters = pipeline_config(settings_).parameters["ExampleGen"]
        assert parameters.grid.keep_onsets is keeps
    assert "keep_onsets = true  # option --encoding\n" in configuration_text(struck)
    assert "keep_onsets = false  # default\n" in configuration_text(plain)
    # What an older file says of onsets does not break the encoding that is chosen over it.
    over = {**struck, "example_gen.grid.keep_onsets": Setting(False, "file", "")}
    assert pipeline_config(over).parameters["ExampleGen"].grid.keep_onsets is True


def test_the_text_without_folders_is_a_configuration_to_fill_in() -> None:
    text = configuration_text({})
    assert "# midi_dir is not set\n" in text
    assert set(known_keys()) - set(parsed(text)) == {
        *("midi_dir", "root", "parent", "from", "until")
    }


def test_what_toml_cannot_hold_is_left_out_of_the_text() -> None:
    text = configuration_text(folders_and(midi_dir=Path("/songs-\udcff")))
    assert "midi_dir" not in parsed(text)
    assert "# midi_dir cannot be written as TOML: set it by --midi-dir\n" in text


def test_an_origin_cannot_end_its_comment() -> None:
    chosen = {**folders_and(), "trainer.epochs": Setting(3, "file a\nseed = 5", "")}
    assert parsed(configuration_text(chosen))["trainer.seed"].value == 0


def test_tables_and_keys_are_written_in_snake_or_kebab_case() -> None:
    snake = parsed("[example_gen.grid]\nframes_per_second = 4\n[trainer]\nepochs = 3")
    kebab = parsed("[example-gen.grid]\nframes-per-second = 4\n[trainer]\nepochs = 3")
    assert snake == kebab
    assert snake["example_gen.grid.frames_per_second"].value == 4.0


def test_a_relative_path_is_relative_to_the_folder_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "conf" / "pipeline.toml"
    file.parent.mkdir()
    file.write_text('midi_dir = "songs"\nroot = "/work"\n[trainer]\ntensorboard = "../logs"')
    found = read_configuration(file)
    assert found["midi_dir"].value == tmp_path / "conf" / "songs"
    assert found["root"].value == Path("/work")
    assert found["trainer.tensorboard"].value == tmp_path / "conf" / ".." / "logs"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epochs = 3", "unknown key epochs: did you mean trainer.epochs?"),
        ("[trainer]\nepoch = 3", "unknown key trainer.epoch: did you mean trainer.epochs?"),
        ("[trainer]\nunits = 3", "unknown key trainer.units: did you mean trainer.architecture.un"),
        (
            "[example_gen]\nfps = 3",
            "unknown key example_gen.fps: did you mean example_gen.grid.fra",
        ),
        ("[trianer]\nepochs = 3", "unknown key trianer: did you mean trainer?"),
        ("midi_dri = 'x'", "unknown key midi_dri: did you mean midi_dir?"),
        ("[qqqqq]", "unknown key qqqqq: docs/parameters.md lists all keys"),
        ("trainer = 3", "trainer must be a table, [trainer], not 3"),
        ("[midi_dir]\nx = 1", 'midi_dir must be text, not {"x": 1}'),
        ("[trainer]\nepochs = 'many'", 'trainer.epochs must be a whole number, not "many"'),
        ("[trainer]\nepochs = '3'", 'trainer.epochs must be a whole number, not "3"'),
        ("[trainer]\nepochs = 3.0", "trainer.epochs must be a whole number, not 3.0"),
        ("[trainer]\nepochs = true", "trainer.epochs must be a whole number, not true"),
        ("[trainer]\nlearning_rate = 2020-01-01", "trainer.learning_rate must be a number"),
        ("[transform]\ntranspose = [0, 3]", "transform.transpose must be text, not [0, 3]"),
        ("[example_gen.grid]\npitch_range = '0..3'", "pitch_range must be a list such as [0, 1]"),
        ("[example_gen.grid]\npitch_range = [0]", "pitch_range must be a list of 2 items, not 1"),
        ("[pusher]\nmodel_name = 3", "pusher.model_name must be text, not 3"),
        ("beam_options = '--x'", "beam_options must be a list"),
        ("root = 's3://bucket/x'", "root must be a local folder, not the URL s3:/bucket/x"),
        ("[trainer]\nclip_norm = 1\nclip-norm = 2", "trainer.clip_norm is set twice"),
        ("[trainer", "is not TOML: Expected ']'"),
    ],
)
def test_what_cannot_be_is_named_by_file_and_key(text: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parsed(text)
    assert str(refused.value).startswith("pipeline.toml")
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[trainer]\nepochs = 0", "pipeline.toml: trainer.epochs must be at least 1, not 0"),
        ("[trainer.schedule]\nshape = 3", "schedule.shape must be one of constant, cosine, plat"),
        ("[trainer]\nnetwork = 'lstm'", "pipeline.toml: trainer.network must be one of"),
        ("until = 'Composer'", "pipeline.toml: until must be one of ExampleGen, Transform"),
        ("from = 'Trainer'\nuntil = 'Transform'", "until Transform comes before"),
        ("beam_options = ['x']", "pipeline.toml: beam_options must begin with an option"),
        (
            "[trainer]\nnetwork = 'causal'\n[trainer.architecture]\ndense = 3",
            "trainer.architecture.dense is a parameter of the network paper, not of causal",
        ),
    ],
)
def test_values_out_of_bounds_are_named_by_file_and_key(text: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        pipeline_config(merged(folders_and(), parsed(text)))
    assert words in str(refused.value)


def test_another_network_leaves_the_sizes_of_the_first_aside() -> None:
    file = parsed("[trainer.architecture]\nunits = 7\ndense = 9")
    other = {"trainer.network": Setting("causal", "option --network", "--network")}
    trainer = pipeline_config(merged(folders_and(), merged(file, other))).parameters["Trainer"]
    assert (trainer.network, trainer.architecture.units) == ("causal", 128)
    same = {"trainer.network": Setting("paper", "option --network", "--network")}
    trainer = pipeline_config(merged(folders_and(), merged(file, same))).parameters["Trainer"]
    assert (trainer.architecture.units, trainer.architecture.dense) == (7, 9)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no\.toml: No such file"):
        read_configuration(tmp_path / "no.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match=r"bytes\.toml is not TOML: it is not UTF-8"):
        read_configuration(tmp_path / "bytes.toml")
