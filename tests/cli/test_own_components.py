"""A user's own network and gate on the command line: their options, and where they are found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
OWN = ("--plugin-path", str(EXAMPLES), "--network", "lstm_network:Lstm")


def tunesmith(
    *arguments: str, folder: Path = EXAMPLES.parent, safe: bool = True, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own: which options there are is decided once in each."""
    program = [sys.executable, *(["-P"] if safe else []), "-m", "tunesmith.cli.main"]
    return subprocess.run(
        [*program, *arguments],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_sizes_of_a_network_and_the_parameters_of_a_gate_are_options() -> None:
    done = tunesmith("run", *OWN, "--gate", "song_count_gate:GATE", "--help")
    assert done.returncode == 0, done.stderr
    for option in ("--cells INTEGER", "--song-count-least INTEGER"):
        assert option in done.stdout
    assert "--cells" not in tunesmith("run", "--help").stdout


def test_a_gate_of_the_environment_is_a_component() -> None:
    done = tunesmith(
        *("component", "SongCount", "--describe"),
        TUNESMITH_COMPONENT_GATE="song_count_gate:GATE",
        TUNESMITH_PLUGIN_PATH=str(EXAMPLES),
    )
    assert done.returncode == 0, done.stderr
    assert "least=100  (--song-count-least)" in done.stdout


def test_print_config_names_plug_ins_so_that_the_file_runs_them_again(tmp_path: Path) -> None:
    gate = ("--gate", "song_count_gate:GATE", "--song-count-least", "7")
    wanted = ("--midi-dir", "m", "--root", "r", *OWN, *gate, "--cells", "9")
    printed = tunesmith("run", *wanted, "--print-config")
    assert printed.returncode == 0, printed.stderr
    file = tmp_path / "pipeline.toml"
    file.write_text(printed.stdout)
    again = tunesmith("run", "--config", str(file), "--print-config")
    assert again.returncode == 0, again.stderr
    for line in ("cells = 9", "least = 7", 'network = "lstm_network:Lstm"'):
        assert line in again.stdout


@pytest.mark.parametrize("safe", [True, False], ids=["tunesmith", "python -m"])
def test_a_module_of_the_current_folder_is_refused(tmp_path: Path, safe: bool) -> None:
    shutil.copy(EXAMPLES / "lstm_network.py", tmp_path)
    for option, name in (("--network", "Lstm"), ("--gate", "Lstm"), ("--source", "Lstm")):
        done = tunesmith(
            *("run", "--midi-dir", ".", "--root", "r", option, f"lstm_network:{name}"),
            folder=tmp_path,
            safe=safe,
            PYTHONPATH=os.pathsep,
        )
        assert done.returncode == 2
        assert "there is no module lstm_network: the current folder is not searched" in done.stderr
        assert len(done.stderr.splitlines()) == 1
