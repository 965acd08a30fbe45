"""A folder of MIDI files as an artifact: its digest, and what it knows of its files."""

from __future__ import annotations

from pathlib import Path

from tunesmith.components.artifacts import MidiFolder
from tunesmith.components.sources.source import read_source


def test_a_midi_folder_is_named_by_names_and_contents(tmp_path: Path) -> None:
    song = tmp_path / "a.mid"
    song.write_bytes(b"one")
    first = read_source(tmp_path)
    assert isinstance(first, MidiFolder)
    assert read_source(tmp_path) == first
    song.rename(tmp_path / "b.mid")
    assert read_source(tmp_path).digest != first.digest
    (tmp_path / "b.mid").rename(song)
    assert read_source(tmp_path).digest == first.digest
    song.write_bytes(b"two")
    assert read_source(tmp_path).digest != first.digest
