"""Publishing: complete artifacts alone, and nothing after a failure."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tunesmith.components.publishing import staged_directory
from tunesmith.components.pusher.versions import next_version


def test_the_folder_appears_when_the_block_ends(tmp_path: Path) -> None:
    final = tmp_path / "deep" / "final"
    with staged_directory(final) as staging:
        (staging / "a").write_text("1")
        assert not final.exists()
        assert staging.parent == final.parent
    assert [path.name for path in final.parent.iterdir()] == ["final"]
    assert (final / "a").read_text() == "1"


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    final = tmp_path / "final"
    final.mkdir()
    (final / "old").touch()

    def fail() -> None:
        with staged_directory(final, replace=True) as staging:
            (staging / "new").touch()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [path.name for path in tmp_path.rglob("*")] == ["final", "old"]


def test_replacing_takes_the_new_content_whole(tmp_path: Path) -> None:
    final = tmp_path / "final"
    final.mkdir()
    (final / "old").touch()
    with staged_directory(final, replace=True) as staging:
        (staging / "new").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["final", "new"]


def test_without_replace_nothing_is_overwritten(tmp_path: Path) -> None:
    final = tmp_path / "final"
    final.mkdir()
    (final / "old").touch()
    with pytest.raises(OSError, match="exists"), staged_directory(final) as staging:
        (staging / "new").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["final", "old"]


def test_a_kill_leaves_no_final_folder(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from tunesmith.components.publishing import staged_directory\n"
        "with staged_directory(Path(sys.argv[1])) as staging:\n"
        "    (staging / 'half').touch(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    final = tmp_path / "final"
    killed = subprocess.run([sys.executable, "-c", program, str(final)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not final.exists()
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".final.partial-")


KILLED_WHILE_PUBLISHING = """
import os, signal, sys
from pathlib import Path
from tunesmith.components.publishing import staged_directory

def rename_and_die(*names, rename=Path.rename):
    rename(*names)
    os.kill(os.getpid(), signal.SIGKILL)

with staged_directory(Path(sys.argv[1]), replace=True) as staging:
    (staging / "new").touch()
    Path.rename = rename_and_die
"""


def test_the_next_call_tidies_up_and_puts_back_what_was_being_replaced(tmp_path: Path) -> None:
    final = tmp_path / "final"
    final.mkdir()
    (final / "old").touch()
    command = [sys.executable, "-c", KILLED_WHILE_PUBLISHING, str(final)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not final.exists()
    running = tmp_path / f".final.partial-{socket.gethostname()}-{os.getppid()}"
    elsewhere = tmp_path / ".final.partial-another.machine-1"
    for other in (running, elsewhere):
        other.mkdir()
    with staged_directory(final, replace=True) as staging:
        assert (final / "old").exists()
        (staging / "newer").touch()
    assert [path.name for path in final.iterdir()] == ["newer"]
    # Nobody else's work was touched.
    assert {path.name for path in tmp_path.iterdir()} == {"final", running.name, elsewhere.name}


def test_versions_grow_and_only_numbers_count(tmp_path: Path) -> None:
    assert next_version(tmp_path / "none") == 1
    for name in ("1", "07", ".8.partial-3", "latest"):
        (tmp_path / name).mkdir()
    assert next_version(tmp_path) == 8
