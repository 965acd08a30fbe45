"""``tunesmith run --dry-run``: what would be executed and why, with nothing touched."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tunesmith.cli.main import cli
from tunesmith.music import write_midi
from tunesmith.pipeline.dag import BY_NAME

Invoke = Callable[..., Result]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with six songs, ``midi``, and the ``root`` of a run that ended with Transform."""
    folder = tmp_path_factory.mktemp("dry-run")
    (folder / "midi").mkdir()
    for number in range(6):
        frames = [(50 + number + step % 12,) for step in range(30)]
        write_midi(frames, folder / "midi" / f"{number}.mid", 5.0)
    arguments = ["run", *where(folder), "--until", "Transform"]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return folder


def where(folder: Path) -> list[str]:
    return ["--midi-dir", str(folder / "midi"), "--root", str(folder / "root")]


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Time of the last change and content of all below a folder."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in (folder, *folder.rglob("*"))
    }


def planned(invoke: Invoke, folder: Path, *arguments: object) -> dict[str, str]:
    """The lines of a dry run for each component; nothing may change."""
    before = tree(folder)
    done = invoke("run", *where(folder), "--dry-run", *arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    assert tree(folder) == before
    return dict(line.split(": ", 1) for line in done.stdout.splitlines())


def test_a_root_that_is_not_there_stays_so(invoke: Invoke, made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "midi", tmp_path / "midi")
    found = planned(invoke, tmp_path)
    assert list(found) == list(BY_NAME)
    assert set(found.values()) == {"would be executed: never executed here"}
    assert not (tmp_path / "root").exists()


def test_what_is_done_would_not_be_executed(invoke: Invoke, made: Path) -> None:
    found = planned(invoke, made)
    assert found["ExampleGen"] == "would not be executed: done before (execution 1)"
    assert found["Transform"] == "would not be executed: done before (execution 2)"
    assert found["StatisticsGen"] == "would be executed: never executed here"
    assert found["ExampleValidator"] == "would be executed: never executed here"
    assert found["Trainer"] == "would be executed: never executed here"


def test_a_changed_parameter_is_the_reason(invoke: Invoke, made: Path) -> None:
    found = planned(invoke, made, "--max-vocabulary", 5, "--until", "Transform")
    assert list(found) == ["ExampleGen", "Transform"]
    assert found["Transform"] == (
        "would be executed: parameter maximum_frames changed from 1000 to 5"
    )


def test_rerun_is_a_reason_and_may_be_repeated(invoke: Invoke, made: Path) -> None:
    found = planned(
        *(invoke, made, "--rerun", "ExampleGen", "--rerun", "Transform", "--until", "Transform")
    )
    assert found["ExampleGen"] == "would be executed: rerun requested"
    assert found["Transform"] in (
        "would be executed: rerun requested",
        "may be executed: only if the artifact of ExampleGen changes",
    )


def test_from_takes_what_is_there(invoke: Invoke, made: Path) -> None:
    done = invoke(
        *("run", "--root", made / "root", "--from", "Transform", "--until", "Transform"),
        "--dry-run",
    )
    assert done.stdout == "Transform: would not be executed: done before (execution 2)\n"


def test_from_without_what_comes_before_is_told(invoke: Invoke, made: Path) -> None:
    for root, missing in ((made / "root", "StatisticsGen"), (made / "none", "ExampleGen")):
        done = invoke("run", "--root", root, "--from", "Evaluator", "--dry-run")
        assert f"--from Evaluator needs an artifact of {missing}" in str(done.exception)
        assert "begin the run with an earlier component" in str(done.exception)
    assert not (made / "none").exists()


def test_a_missing_folder_of_songs_is_told(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("run", *where(tmp_path), "--dry-run")
    assert "midi is not a folder" in str(done.exception)
    assert not list(tmp_path.iterdir())


def test_a_root_of_the_first_release_is_looked_at_and_left_as_it_is(
    invoke: Invoke, release_0_1_0: Path
) -> None:
    (release_0_1_0 / "songs").rename(release_0_1_0 / "midi")
    found = planned(invoke, release_0_1_0)
    assert found["ExampleGen"].startswith("would be executed: ")
