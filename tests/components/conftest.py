"""MIDI folders and songs that component tests read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith.music import write_midi

WriteScale = Callable[[Path, int, int], Path]


@pytest.fixture(scope="session")
def write_scale() -> WriteScale:
    """Write a scale of `length` frames from `pitch`; other numbers make other music."""

    def write(path: Path, pitch: int, length: int) -> Path:
        steps = (0, 2, 4, 5, 7, 9, 11, 12)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_midi([(pitch + steps[index % 8],) for index in range(length)], path, 5.0)
        return path

    return write
