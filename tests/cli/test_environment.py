"""Options in the environment, and what an orchestrator puts there that is none."""

from __future__ import annotations

from collections.abc import Callable

import click
import pytest
from click.testing import Result

from tunesmith.cli.environment import name_variables
from tunesmith.cli.main import SUBCOMMANDS, cli
from tunesmith.pipeline.dag import BY_NAME, PipelineConfig

Invoke = Callable[..., Result]

# What Kubernetes tells a pod of a service named tunesmith-serve with the port 8500.
SERVICE_LINKS = {
    "TUNESMITH_SERVE_SERVICE_HOST": "10.0.0.11",
    "TUNESMITH_SERVE_SERVICE_PORT": "8500",
    "TUNESMITH_SERVE_SERVICE_PORT_GRPC": "8500",
    "TUNESMITH_SERVE_PORT": "tcp://10.0.0.11:8500",
    "TUNESMITH_SERVE_PORT_8500_TCP": "tcp://10.0.0.11:8500",
    "TUNESMITH_SERVE_PORT_8500_TCP_PROTO": "tcp",
    "TUNESMITH_SERVE_PORT_8500_TCP_PORT": "8500",
    "TUNESMITH_SERVE_PORT_8500_TCP_ADDR": "10.0.0.11",
}


def commands() -> list[tuple[str, click.Command, click.Context]]:
    """Every command without subcommands: its variables' prefix, itself, the context around it."""
    context = click.Context(cli)
    found = []
    for name in SUBCOMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            inner = click.Context(command, context)
            found += [
                (f"TUNESMITH_COMPONENT_{each}", made, inner)
                for each in command.list_commands(inner)
                if (made := command.get_command(inner, each))
            ]
        else:
            found.append((f"TUNESMITH_{name.upper()}", command, context))
    assert len(found) >= len(SUBCOMMANDS) - 1 + len(BY_NAME)
    return found


def test_every_option_of_every_command_has_a_variable_of_its_own() -> None:
    names: list[str] = []
    for prefix, command, context in commands():
        assert name_variables(command, context, prefix, {}) == []
        for option in command.get_params(context):
            if isinstance(option, click.Option) and option.name != "help":
                assert isinstance(option.envvar, str)
                assert option.envvar.startswith(f"{prefix}_")
                names.append(option.envvar)
    assert len(names) == len(set(names))
    for name in ("RUN_EPOCHS", "SERVE_PORT", "GENERATE_STEPS", "DEMO_DIR", "RUNS_JSON"):
        assert f"TUNESMITH_{name}" in names


def test_a_value_of_any_kind_is_taken_from_the_environment(
    configured: Callable[..., PipelineConfig],
) -> None:
    config = configured(
        TUNESMITH_RUN_KEEP_SHORT_NOTES="1",
        TUNESMITH_RUN_PITCH_RANGE="20..90",
        TUNESMITH_RUN_ALLOW="token-drift,pitch-drift",
        TUNESMITH_RUN_BEAT="none",
        TUNESMITH_RUN_CLIP_NORM="2",
        TUNESMITH_RUN_ENGINE="auto",
        TUNESMITH_RUN_UNTIL="Evaluator",
        TUNESMITH_RUN_RERUN="Trainer Evaluator",
    )
    assert config.parameters["ExampleGen"].grid.keep_short_notes is True
    assert config.parameters["ExampleGen"].grid.pitch_range == (20, 90)
    assert config.parameters["ExampleValidator"].allow == ("token-drift", "pitch-drift")
    assert config.parameters["Evaluator"].blessing.beat == ()
    assert config.parameters["Trainer"].clip_norm == 2.0
    assert config.parameters["InfraValidator"].engine == "auto"
    assert (config.last, config.rerun) == ("Evaluator", {"Trainer", "Evaluator"})


def test_a_component_alone_has_variables_of_its_own(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(
        "tunesmith.cli.component._run",
        lambda _, __, ___, parameters, *____: seen.append(parameters),
    )
    ask = ("component", "ExampleGen", "--root", "r")
    assert invoke(*ask, TUNESMITH_COMPONENT_EXAMPLE_GEN_FPS="4").exit_code == 0
    assert invoke(*ask, TUNESMITH_RUN_FPS="4").exit_code == 0
    assert [each.grid.frames_per_second for each in seen] == [4.0, 5.0]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("TUNESMITH_RUN_EPOCHS", "many", "TUNESMITH_RUN_EPOCHS must be a whole number, not 'many'"),
        ("TUNESMITH_RUN_EPOCHS", "0", "TUNESMITH_RUN_EPOCHS must be at least 1, not 0"),
        (
            "TUNESMITH_RUN_MIDI_DIR",
            "gs://a/b",
            "TUNESMITH_RUN_MIDI_DIR must be a local folder, not the URL gs:/a/b",
        ),
    ],
)
def test_a_wrong_value_is_an_error_that_names_the_variable(
    invoke: Invoke, name: str, value: str, words: str
) -> None:
    done = invoke("run", "--root", "r", **{name: value})
    assert (done.exit_code, words in done.output) == (2, True), done.output


def test_what_an_orchestrator_injects_is_ignored_with_one_warning(invoke: Invoke) -> None:
    done = invoke("serve", "--help", **SERVICE_LINKS)
    assert done.exit_code == 0
    (warning,) = done.stderr.splitlines()
    assert warning.startswith("tunesmith: warning: ignored TUNESMITH_SERVE_PORT, ")
    assert all(name in warning for name in SERVICE_LINKS)
    # Another command has no business with them.
    assert invoke("generate", "--help", **SERVICE_LINKS).stderr == ""


def test_an_injected_port_leaves_the_option_at_its_default(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(
        "tunesmith.cli.serve._command_line", lambda _, __, options: [str(seen.append(options))]
    )
    ask = ("serve", "--model-dir", "m", "--engine", "embedded", "--dry-run")
    invoke(*ask, **SERVICE_LINKS)
    invoke(*ask, TUNESMITH_SERVE_PORT="8600")
    invoke(*ask)
    assert [each.port for each in seen] == [8500, 8600, 8500]


def test_a_misspelt_variable_is_warned_of_with_the_nearest(invoke: Invoke) -> None:
    done = invoke("run", "--help", TUNESMITH_RUN_EPOCH="3")
    assert done.stderr == (
        "tunesmith: warning: ignored TUNESMITH_RUN_EPOCH: this command has no such option; "
        "did you mean TUNESMITH_RUN_EPOCHS?\n"
    )


def test_variables_with_a_meaning_of_their_own_are_left_alone(invoke: Invoke) -> None:
    names = ("TUNESMITH_SERVER", "TUNESMITH_MODEL", "TUNESMITH_MODELS", "TUNESMITH_DEBUG")
    own = dict.fromkeys(names, "localhost:8500")
    for command in ("run", "serve", "generate"):
        assert invoke(command, "--help", **own).stderr == ""
