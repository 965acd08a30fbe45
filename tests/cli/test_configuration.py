"""``tunesmith run``: options before the environment, the environment before the file."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tunesmith.components.progress import SilentProgress
from tunesmith.pipeline.configuration_file import configuration_text, parse_configuration
from tunesmith.pipeline.dag import PipelineConfig
from tunesmith.pipeline.runner import Runner
from tunesmith.pipeline.store import STORE_NAME

Configured = Callable[..., PipelineConfig]
Invoke = Callable[..., Result]


def without_origins(text: str) -> str:
    return re.sub(r"  # .*", "", text)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pipeline.toml"
    path.write_text("[trainer]\nepochs = 3\nbatch = 3\nseed = 3\n")
    return path


def test_options_come_before_the_environment_and_that_before_the_file(
    configured: Configured, file: Path
) -> None:
    config = configured(
        *("--config", file, "--epochs", 1), TUNESMITH_RUN_EPOCHS="2", TUNESMITH_RUN_BATCH="2"
    )
    trainer = config.parameters["Trainer"]
    assert (trainer.epochs, trainer.batch, trainer.seed, trainer.patience) == (1, 2, 3, 5)


def test_the_printed_configuration_tells_what_set_each_value(invoke: Invoke, file: Path) -> None:
    done = invoke(
        *("run", "--config", file, "--epochs", 1, "--print-config"), TUNESMITH_RUN_BATCH="2"
    )
    lines = done.stdout.splitlines()
    assert "epochs = 1  # option --epochs" in lines
    assert "batch = 2  # environment TUNESMITH_RUN_BATCH" in lines
    assert f"seed = 3  # file {file}" in lines
    assert "patience = 5  # default" in lines


def test_what_is_printed_is_read_as_the_same_configuration(
    invoke: Invoke, configured: Configured, tmp_path: Path
) -> None:
    arguments = (
        *("--midi-dir", "songs", "--root", "work", "--track", "all", "--beat", "none"),
        *("--transpose", "-5..6", "--keep-short-notes", "--clip-norm", 1, "--network", "causal"),
        *("--checkpoint-seconds", "none", "--allow", "token-drift", "--schedule", "cosine"),
        *(
            "--from",
            "ExampleGen",
            "--until",
            "Evaluator",
            "--rerun",
            "Trainer",
            "--",
            "--streaming",
        ),
    )
    printed = invoke("run", "--print-config", *arguments)
    assert printed.exit_code == 0, printed.output
    file = tmp_path / "elsewhere" / "pipeline.toml"
    file.parent.mkdir()
    file.write_text(printed.stdout)
    again = invoke("run", "--print-config", "--config", file)
    assert without_origins(again.stdout) == without_origins(printed.stdout)
    here = ("--midi-dir", "songs", "--root", "work")
    assert configured(*here, "--config", file) == configured(*arguments)


def test_printing_a_configuration_executes_nothing(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = invoke("run", "--midi-dir", "none", "--root", "work", "--print-config")
    assert done.exit_code == 0
    assert not list(tmp_path.iterdir())


def test_an_unknown_key_is_a_usage_error_that_names_the_nearest(invoke: Invoke, file: Path) -> None:
    file.write_text("[trainer]\nepoch = 3\n")
    done = invoke("run", "--midi-dir", "m", "--root", "r", "--config", file)
    assert done.exit_code == 2
    assert "unknown key trainer.epoch: did you mean trainer.epochs?" in done.output


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with two runs: one of a configuration, and one of a component alone."""
    text = configuration_text(
        parse_configuration(
            f'midi_dir = "{tmp_path}/songs"\nroot = "{tmp_path}/root"\n[trainer]\nepochs = 9',
            *("p.toml", "file p.toml", tmp_path),
        )
    )
    for command, config in (("run", text), ("component Trainer", "")):
        with Runner(
            tmp_path / "root", SilentProgress(), command=command, config_text=config, wait=False
        ):
            pass
    return tmp_path / "root"


def test_a_recorded_configuration_is_used_again_and_options_come_before_it(
    invoke: Invoke, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[PipelineConfig] = []
    monkeypatch.setattr("tunesmith.cli.run.run_and_report", lambda config, *_: seen.append(config))
    done = invoke("run", "--again", 1, "--root", root)
    assert done.exit_code == 0, done.output
    assert (seen[0].midi_dir, seen[0].root) == (root.parent / "songs", root)
    assert seen[0].parameters["Trainer"].epochs == 9
    moved = root.rename(root.with_name("moved"))
    monkeypatch.chdir(moved)
    done = invoke("run", "--again", 1, "--epochs", 4, "--midi-dir", "/other")
    assert done.exit_code == 0, done.output
    assert (seen[1].midi_dir, seen[1].root) == (Path("/other"), moved)
    assert seen[1].parameters["Trainer"].epochs == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--again", 2), "run 2 (component Trainer) has no recorded configuration"),
        (("--again", 7), "there is no run 7 in"),
        (("--again", 1, "--config", "x.toml"), "--config and --again exclude each other"),
    ],
)
def test_a_run_that_cannot_be_run_again_is_told(
    invoke: Invoke, root: Path, arguments: tuple[object, ...], words: str
) -> None:
    done = invoke("run", "--root", root, *arguments)
    assert done.exit_code != 0
    assert words in done.output + str(done.exception)


def test_a_run_is_recorded_with_its_configuration(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs" / "a.mid").write_bytes(b"a diary")
    monkeypatch.setattr("tunesmith.pipeline.run.PipelineConfig.steps", lambda _: ())
    monkeypatch.setattr("tunesmith.pipeline.report.write_report", lambda *_, **__: None)
    monkeypatch.chdir(tmp_path)
    done = invoke("run", "--midi-dir", "songs", "--root", "root", "--epochs", 4)
    assert done.exit_code == 0, (done.output, done.exception)
    with sqlite3.connect(tmp_path / "root" / STORE_NAME) as store:
        ((text,),) = store.execute("SELECT config FROM runs").fetchall()
    found = parse_configuration(text, "run 1", "run 1", Path("/"))
    assert found["trainer.epochs"].value == 4
    assert found["midi_dir"].value == tmp_path / "songs"
    assert "epochs = 4  # option --epochs\n" in text


def test_an_option_of_a_component_that_is_left_out_is_warned_of(
    configured: Configured, capsys: pytest.CaptureFixture[str], invoke: Invoke
) -> None:
    del configured
    done = invoke(
        *("run", "--midi-dir", "m", "--root", "r", "--until", "Evaluator"),
        *("--keep", 3, "--model-name", "bach", "--epochs", 3),
    )
    warnings = [line for line in done.stderr.splitlines() if "warning" in line]
    # The Evaluator compares with the model that is served under that name.
    assert warnings == ["tunesmith: warning: --keep has no effect: Pusher is not part of this run"]
    capsys.readouterr()


def test_a_run_that_begins_later_needs_no_midi_files(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[PipelineConfig] = []
    monkeypatch.setattr("tunesmith.cli.run.run_and_report", lambda config, *_: seen.append(config))
    assert invoke("run", "--root", "r", "--from", "Trainer").exit_code == 0
    assert (seen[0].midi_dir, seen[0].first) == (None, "Trainer")
    for arguments in ((), ("--from", "ExampleGen")):
        assert "Missing option '--midi-dir'." in invoke("run", "--root", "r", *arguments).output
