"""A program that uses tunesmith is checked by mypy --strict against the installed packages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PROGRAM = """\
from tunesmith import AsyncComposer, Composer, Song, __version__
from tunesmith.client import TopP

with Composer("localhost:8500") as composer:
    song = composer.generate(steps=8, start_note=60)
    reveal_type(song)
    song.write("song.mid")
    reveal_type([each.summary() for each in composer.generate_many(count=2, steps=8)])
    composer.generate(steps="many")


async def compose() -> Song:
    async with AsyncComposer("localhost:8500") as composer:
        return await composer.generate(steps=8)


reveal_type(__version__)
"""


def test_a_program_is_checked_strictly(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    options = ["--strict", "--no-error-summary", "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "program.py"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"MYPYPATH": ""},
    )
    said = re.findall(r"program\.py:(\d+): (?:note|error): (.*)", done.stdout)
    assert said == [
        ("6", 'Revealed type is "tunesmith.client.song.Song"'),
        ("8", 'Revealed type is "list[str]"'),
        (
            "9",
            'Argument "steps" to "generate" of "Composer" has incompatible type "str"; '
            'expected "int"  [arg-type]',
        ),
        ("17", 'Revealed type is "str"'),
    ], done.stdout + done.stderr
