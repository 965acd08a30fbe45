"""The cost of importing the client."""

from __future__ import annotations

import subprocess
import sys

HEAVY = (
    *("tensorflow", "tensorflow_serving", "keras", "apache_beam"),
    *("pretty_midi", "mido", "matplotlib", "PIL", "rich", "click", "scipy"),
    *("tunesmith.components", "tunesmith.serving", "tunesmith.pipeline"),
    *("tunesmith.client.aio", "tunesmith.client.formats", "tunesmith.client.filter_plugins"),
    *("music21", "tunesmith.music.reading"),
)


def imported_by(program: str) -> list[str]:
    """Return which of the heavy modules a program has imported by its end."""
    listing = f"import sys\nprint(*(set({HEAVY!r}) & set(sys.modules)))"
    found = subprocess.run(
        [sys.executable, "-c", f"{program}\n{listing}"], check=True, capture_output=True, text=True
    )
    return found.stdout.split()


def test_importing_the_client_imports_nothing_heavy() -> None:
    assert imported_by("import tunesmith.client") == []


def test_composing_imports_nothing_heavy(address: str) -> None:
    program = (
        "from tunesmith.client import Composer\n"
        f"with Composer({address!r}) as composer:\n"
        "    song = composer.generate(steps=5, start_note=60, top_p=0.9, max_repeats=2)\n"
        "assert song.notes\n"
    )
    assert imported_by(program) == []


def test_what_is_heavy_comes_when_it_is_used(address: str) -> None:
    program = (
        "from tunesmith.client import AsyncComposer, Composer\n"
        f"with Composer({address!r}) as composer:\n"
        "    composer.generate(steps=5, start_note=60).to_pretty_midi()\n"
    )
    assert {"tunesmith.client.aio", "pretty_midi", "mido"} <= set(imported_by(program))
