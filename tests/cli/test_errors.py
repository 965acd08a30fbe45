"""Errors of the command line: one line, what to do, the right exit code, nothing left behind."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tunesmith.components
from tunesmith.cli import main

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in this process: (exit code, its last line on standard error)."""

    def call(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["tunesmith", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main.main()
        errors = capsys.readouterr().err
        told = [line for line in errors.splitlines() if line.startswith("tunesmith: error: ")]
        assert "Traceback" not in errors
        assert len(told) == 1, errors
        assert errors.endswith(told[0] + "\n")
        return int(ended.value.code or 0), told[0].removeprefix("tunesmith: error: ")

    return call


def test_an_empty_folder(run: Run, tmp_path: Path) -> None:
    midi = tmp_path / "midi"
    midi.mkdir()
    code, line = run("run", "--midi-dir", midi, "--root", tmp_path / "root")
    assert code == 1
    assert line.startswith(f"--midi-dir {midi} has no MIDI files (.mid, .midi)")
    assert not (tmp_path / "root").exists()


def test_a_folder_that_is_not_there(run: Run, tmp_path: Path) -> None:
    code, line = run("run", "--midi-dir", tmp_path / "none", "--root", tmp_path / "root")
    assert code == 1
    assert "none is not a folder" in line


@pytest.mark.parametrize("command", ["run", "preprocess"])
def test_a_folder_of_what_is_no_midi(run: Run, tmp_path: Path, command: str) -> None:
    midi = tmp_path / "midi"
    midi.mkdir()
    for name in ("a.mid", "b.mid"):
        (midi / name).write_text("a diary")
    where = {"run": "--root", "preprocess": "--output"}[command]
    code, line = run(command, "--midi-dir", midi, where, tmp_path / "out")
    assert code == 1
    assert line.startswith("all 2 files were rejected (2 malformed); the first: a.mid: ")
    assert not list(tmp_path.glob("out/**/*.tfrecord"))


@pytest.mark.parametrize("option", ["--midi-dir", "--output"])
def test_an_address_is_no_folder(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folders = {"--midi-dir": "midi", "--output": "out"} | {option: "gs://bucket/songs"}
    code, line = run("preprocess", *[part for pair in folders.items() for part in pair])
    assert code == 2
    assert line.startswith(f"{option} must be a local folder, not the URL gs:/bucket/songs")
    assert not list(tmp_path.iterdir())


def test_an_output_folder_that_holds_something_else(run: Run, tmp_path: Path) -> None:
    for name in ("midi/a.mid", "out/thesis.txt"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("years of work")
    code, line = run("preprocess", "--midi-dir", tmp_path / "midi", "--output", tmp_path / "out")
    assert code == 1
    assert "holds files that are not preprocessed songs" in line
    assert (tmp_path / "out" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--track", "second", "write first, all, name:PIANO or program:0"),
        ("--fps", "0", "--fps must be above 0, not 0"),
        ("--eval-fraction", "1", "--eval-fraction must be below 1, not 1"),
        ("--frames-per-beat", "-1", "--frames-per-beat must be at least 0"),
        ("--pitch-range", "40-80", "must be LOW..HIGH"),
        ("--pitch-range", "80..40", "must ascend, not 80..40"),
        ("--transpose", "1..3", "must be a range that includes 0"),
        ("--max-vocabulary", "0", "at least 1"),
        ("--epochs", "0", "at least 1"),
        ("--epochs", "many", "--epochs must be a whole number, not 'many'"),
        ("--dropout", "1.5", "below 1, not 1.5"),
        ("--units", "0", "at least 1"),
        ("--program", "200", "at most 127"),
        ("--model-name", "../../etc", "--model-name must consist of letters, digits"),
    ],
)
def test_options_out_of_range(
    run: Run, tmp_path: Path, option: str, value: str, words: str
) -> None:
    code, line = run("run", "--midi-dir", tmp_path, "--root", tmp_path / "r", option, value)
    assert code == 2
    assert words in line
    assert "see tunesmith run --help" in line


def test_a_missing_option_and_an_unknown_command(run: Run) -> None:
    assert run("run") == (2, "Missing option '--midi-dir'. (see tunesmith run --help)")
    code, line = run("compose")
    assert code == 2
    assert line.startswith("No such command 'compose'.")


def test_an_argument_that_is_no_beam_option(run: Run, tmp_path: Path) -> None:
    code, line = run("preprocess", "--midi-dir", tmp_path, "--output", tmp_path / "o", "folder")
    assert code == 2
    assert "options for Beam must follow --" in line


def test_a_port_in_use(run: Run, model_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        code, line = run("serve", "--model-dir", model_dir, "--port", port, "--engine", "embedded")
    assert code == 1
    assert line.startswith(f"port {port} on 127.0.0.1 is in use")


def test_a_model_folder_without_a_version(run: Run, tmp_path: Path) -> None:
    for command in ("serve", "generate"):
        code, line = run(command, "--model-dir", tmp_path)
        assert code == 1
        assert "version" in line
    code, line = run("serve", "--model-dir", tmp_path / "none")
    assert code == 1
    assert "none" in line


def test_a_server_that_is_not_there(run: Run, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
    out = tmp_path / "song.mid"
    code, line = run("generate", "--server", f"127.0.0.1:{port}", "--out", out)
    assert code == 1
    assert f"127.0.0.1:{port}" in line
    assert "tunesmith serve" in line
    assert not out.exists()


def test_a_start_note_that_the_model_does_not_know(
    run: Run, server_address: str, tmp_path: Path
) -> None:
    code, line = run(
        "generate", "--server", server_address, "--start-note", 20, "--out", tmp_path / "s.mid"
    )
    assert code == 1
    assert "similar frames: 60; 61; 62" in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--server", "a:1", "--model-dir", "."), "not both"),
        (("--out", "no/such/folder/song.mid"), "there is no folder no/such/folder"),
    ],
)
def test_generate_refuses_what_cannot_be(run: Run, arguments: tuple[str, ...], words: str) -> None:
    code, line = run("generate", *arguments)
    assert code == 2
    assert words in line


def test_a_missing_extra_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    # What is imported anew here also becomes the parent's attribute.
    monkeypatch.setattr(tunesmith, "components", tunesmith.components)
    for name in [name for name in sys.modules if name.startswith("tunesmith.components")]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "a.mid").touch()
    code, line = run("preprocess", "--midi-dir", tmp_path, "--output", tmp_path / "out")
    assert code == 1
    assert "pip install 'tunesmith[beam]'" in line


def test_the_command_line_starts_without_tensorflow_or_beam() -> None:
    program = (
        "import sys; sys.argv = ['tunesmith', 'generate', '--help']\n"
        "from tunesmith.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in ('tensorflow', 'apache_beam', 'pretty_midi') if m in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert printed.stdout.splitlines()[-1] == "[]"
