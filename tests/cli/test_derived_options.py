"""Every parameter of every component has an option, which says and does what was declared."""

from __future__ import annotations

import types
import typing
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import Result

from tunesmith.cli import component as component_module
from tunesmith.cli.derived_options import ParameterOption, component_options
from tunesmith.cli.main import cli
from tunesmith.components.component import ParameterField, parameter_fields
from tunesmith.components.example_gen.component import GridParameters
from tunesmith.pipeline.configuration_keys import parameters_by_key
from tunesmith.pipeline.dag import BY_NAME, COMPONENTS, PipelineConfig

Configured = Callable[..., PipelineConfig]
Invoke = Callable[..., Result]

# Those of release 0.1.0: scripts name them.
RUN_OF_0_1 = """
    midi-dir root track fps frames-per-beat keep-short-notes pitch-range transpose min-frames
    eval-fraction test-fraction max-vocabulary min-count epochs batch learning-rate schedule
    warmup-steps clip-norm patience max-seconds seed precision strategy memory-mib embedding units
    layers dense dropout checkpoint-seconds checkpoint-steps tensorboard-dir program allow beat
    baseline-margin previous-margin engine latency-ms model-name keep no-wait
"""
PREPROCESS_OF_0_1 = """
    midi-dir output track fps frames-per-beat keep-short-notes pitch-range transpose min-frames
    eval-fraction test-fraction max-vocabulary min-count
"""


def another_value(field: ParameterField) -> Any:
    """Return a value that a parameter may have and that is not its default.

    The default where a choice has only one.
    """
    kind = field.type
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        kind = next(each for each in typing.get_args(kind) if each is not type(None))
    known = field.declared.known()
    if field.name == "blessing.require":
        return ("nats<=2.5", "leap_share>=0")
    if field.name == "transpose":
        return "-5..6"
    if typing.get_origin(kind) is tuple:
        return known[:1] if known else {True: (5, 9), False: (0, 1)}[Ellipsis in kind.__args__]
    if known:
        return next((each for each in known if each != field.default), field.default)
    if kind is bool:
        return not field.default
    if kind is int:
        return (field.default or 3) + 1
    if kind is float:
        return (field.default or 0.5) / 2
    return {str: "all", Path: Path("/somewhere")}[kind]


def typed(option: str, value: Any) -> list[str]:
    """Return what sets an option to a value."""
    if isinstance(value, bool):
        return [option if value else f"--no-{option[2:]}"]
    if isinstance(value, tuple):
        is_range = value == (0, 1)
        return [option, "0..1" if is_range else ",".join(map(str, value))]
    return [option, str(value)]


def options_of(*path: str) -> list[click.Option]:
    """The options of a subcommand."""
    command: click.Command = cli
    context = click.Context(cli)
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(context, name)
        assert found is not None
        command, context = found, click.Context(found, context, info_name=name)
    return [each for each in command.get_params(context) if isinstance(each, click.Option)]


@pytest.mark.parametrize("path", [("run",), ("preprocess",), *(("component", n) for n in BY_NAME)])
def test_no_option_and_no_variable_stands_for_two_things(path: tuple[str, ...]) -> None:
    options = options_of(*path)
    names = Counter(name for each in options for name in (*each.opts, *each.secondary_opts))
    assert [name for name, count in names.items() if count > 1] == []
    stored = Counter(each.name for each in options)
    assert [name for name, count in stored.items() if count > 1] == []


def test_each_parameter_has_one_option_of_run_and_one_of_its_component() -> None:
    on_run = {each.key for each in options_of("run") if isinstance(each, ParameterOption)}
    for component in COMPONENTS:
        declared = set(parameters_by_key(component.name))
        names = {field.name for field in parameter_fields(component.parameters)}
        assert {key.partition(".")[2] for key in declared} == names
        assert declared <= on_run
        own = options_of("component", component.name)
        assert declared == {each.key for each in own if isinstance(each, ParameterOption)}


@pytest.mark.parametrize(
    ("command", "names"), [("run", RUN_OF_0_1), ("preprocess", PREPROCESS_OF_0_1)]
)
def test_the_options_of_the_first_release_are_still_there(command: str, names: str) -> None:
    there = {name for each in options_of(command) for name in each.opts}
    assert {f"--{name}" for name in names.split()} <= there


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda each: each.name)
def test_the_defaults_are_those_of_the_parameters(component: Any) -> None:
    parameters = component.parameters()
    command = click.Command("any", params=list(component_options(component.name)))
    context = command.make_context("any", [])
    for option in component_options(component.name):
        (field, *_) = parameters_by_key(component.name)[option.key]
        assert option.name is not None
        value = context.params[option.name]
        assert value == field.default
        assert type(value) is type(field.default)
        if field.when is None or attrgetter(field.when[0])(parameters) == field.when[1]:
            assert value == attrgetter(field.name)(parameters)


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda each: each.name)
def test_every_parameter_can_be_set_on_run(configured: Configured, component: Any) -> None:
    for key, (field, *_) in parameters_by_key(component.name).items():
        option = next(each for each in component_options(component.name) if each.key == key)
        value = another_value(field)
        config = configured(*typed(option.opts[0], value))
        assert attrgetter(field.name)(config.parameters[component.name]) == value
        others = {each.name: each.parameters() for each in COMPONENTS if each is not component}
        if key == "transform.encoding":
            # ExampleGen keeps the onsets that this encoding needs.
            assert value == "struck"
            grid = GridParameters(keep_onsets=True)
            others["ExampleGen"] = replace(others["ExampleGen"], grid=grid)
        assert {**others, component.name: config.parameters[component.name]} == config.parameters


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda each: each.name)
def test_every_parameter_can_be_set_on_its_component(
    monkeypatch: pytest.MonkeyPatch, invoke: Invoke, component: Any
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(
        component_module, "_run", lambda _, __, ___, parameters, *____: seen.append(parameters)
    )
    for option in component_options(component.name):
        (field, *_) = parameters_by_key(component.name)[option.key]
        value = another_value(field)
        done = invoke(*("component", component.name, "--root", "r", *typed(option.opts[0], value)))
        assert done.exit_code == 0, done.output
        assert attrgetter(field.name)(seen[-1]) == value
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value).lower()
        told = text if isinstance(value, bool) or not isinstance(value, str | Path) else str(value)
        done = invoke(
            *("component", component.name, "--root", "r", "--set", f"{field.name}={told}")
        )
        assert done.exit_code == 0, done.output
        assert seen[-1] == seen[-2]


def test_lists_are_written_with_commas_or_by_repeating(configured: Configured) -> None:
    def beat(*arguments: str) -> object:
        return configured(*arguments).parameters["Evaluator"].blessing.beat

    assert beat() == ("unigram", "repeat", "5-gram", "5-gram+window")
    assert beat("--beat", "unigram,repeat") == ("unigram", "repeat")
    assert beat("--beat", "unigram", "--beat", "repeat") == ("unigram", "repeat")
    assert beat("--beat", "none") == ()
    allowed = configured("--allow", "token-drift", "--allow", "dominant-song,pitch-drift")
    assert allowed.parameters["ExampleValidator"].allow == (
        "token-drift",
        "dominant-song",
        "pitch-drift",
    )


def test_none_unsets_what_may_be_unset(configured: Configured, invoke: Invoke) -> None:
    config = configured("--checkpoint-seconds", "none", "--clip-norm", "2", "--clip-norm", "none")
    trainer = config.parameters["Trainer"]
    assert (trainer.checkpoint_seconds, trainer.clip_norm) == (None, None)
    done = invoke("run", "--midi-dir", "m", "--root", "r", "--epochs", "none")
    assert "--epochs must be a whole number, not 'none'" in done.output + str(done.exception)


def test_a_size_of_another_network_is_refused(configured: Configured, invoke: Invoke) -> None:
    assert configured("--network", "causal", "--units", 8).parameters["Trainer"].network == "causal"
    for arguments in (
        ("run", "--midi-dir", "m", "--root", "r"),
        ("component", "Trainer", "--root", "r"),
    ):
        done = invoke(*arguments, "--network", "causal", "--dense", 8)
        assert done.exit_code == 2
        assert "--dense is a parameter of the network paper, not of causal" in done.output


def test_help_says_what_is_declared_under_the_components_heading(invoke: Invoke) -> None:
    text = invoke("run", "--help").stdout
    sections = text.split("\nTrainer:\n")
    assert "--min-frames INTEGER" in sections[0].split("\nExampleGen:\n")[1]
    trainer = " ".join(sections[1].split("\nEvaluator:\n")[0].split())
    assert "--epochs INTEGER Maximum number of epochs. [default: 1000; at least 1]" in trainer
    assert "--schedule [constant|cosine|plateau]" in trainer
    assert "--clip-norm FLOAT" in trainer
    assert "Slope of the LeakyReLU below zero. [network paper; default: 0.3]" in trainer
    assert "seconds; above 0]" in trainer


def test_an_option_that_is_typed_wrongly_is_named(invoke: Invoke) -> None:
    for arguments, words in (
        (("--epochs", "many"), "--epochs must be a whole number, not 'many'"),
        (("--epochs", "0"), "--epochs must be at least 1, not 0"),
        (("--infra-validator-p95-ms", "-1"), "--infra-validator-p95-ms must be at least 0"),
        (("--transpose", "1..3"), "--transpose must be a range that includes 0"),
        (("--allow", "drift"), "--allow must be one of empty-split"),
        (("--until", "Composer"), "--until must be one of ExampleGen"),
        (("--rerun", "Trainer,Composer"), "--rerun must be one of ExampleGen"),
        (
            ("--strategy", "multi-worker", "--max-seconds", "5"),
            "--max-seconds cannot be set with several",
        ),
    ):
        done = invoke("run", "--midi-dir", "m", "--root", "r", *arguments)
        assert (done.exit_code, words in done.output) == (2, True), done.output


def test_songs_that_are_not_to_be_transposed_are_not_learned_in_other_keys(
    configured: Configured,
) -> None:
    assert configured("--transpose", "none").parameters["Trainer"].regularisation.keys == "none"
    assert configured("--transpose", "auto").parameters["Trainer"].regularisation.keys == "auto"
    both = configured("--transpose", "none", "--keys", "all")
    assert both.parameters["Trainer"].regularisation.keys == "all"
