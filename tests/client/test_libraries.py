"""A library that is not installed is named in one line, with the command that installs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# Refuses the modules in the first argument, as if they were not installed.
PROGRAM = """
import sys

hidden = sys.argv[1].split(",")


class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Refuse())
from tunesmith.client import ComposerError, MissingLibrary, Song

song = Song(((60,), (64,), ()), 5.0)
try:
    song.save(sys.argv[2])
except MissingLibrary as error:
    assert isinstance(error, ComposerError)
    print(error)
"""


def saved_without(modules: str, path: Path) -> str:
    """Save a song in a process without these modules; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, modules, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("module", "suffix", "line"),
    [
        ("PIL", ".png", "a PNG picture needs Pillow: pip install 'tunesmith[pictures]'"),
        (
            "music21",
            ".musicxml",
            "a MusicXML score needs music21: pip install 'tunesmith[scores]'",
        ),
    ],
)
def test_a_missing_library_is_named_in_one_line(
    tmp_path: Path, module: str, suffix: str, line: str
) -> None:
    assert saved_without(module, tmp_path / f"song{suffix}") == f"{line}\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".mid", ".wav", ".html", ".json"])
def test_the_other_formats_need_none_of_them(tmp_path: Path, suffix: str) -> None:
    assert saved_without("PIL,music21", tmp_path / f"song{suffix}") == ""
    assert (tmp_path / f"song{suffix}").stat().st_size > 50
