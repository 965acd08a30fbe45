"""Which source reads what the user names."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tunesmith.components.errors import NoSongs
from tunesmith.components.example_gen.component import ExampleGenParameters
from tunesmith.components.example_gen.read_ahead import ReadAhead
from tunesmith.components.example_gen.reading import Reading
from tunesmith.components.preprocess import run_preprocess
from tunesmith.components.sources.source import list_songs, read_source, source_names
from tunesmith.components.transform.component import TransformParameters
from tunesmith.plugins import PATH_VARIABLE, PluginError, set_plugin_path

WriteScale = Callable[[Path, int, int], Path]

READING = ExampleGenParameters()

SOURCE = """
from pathlib import Path
from tunesmith.components.sources.source import Source

class Listed(Source):
    '''The MIDI files whose paths stand in a text file, a line each.'''

    def files(self):
        for line in self.path.read_text().splitlines():
            yield line.encode(), line.encode()

    def read(self, location):
        if location.endswith(b"odd.mid"):
            raise RuntimeError("an odd\\nsong")
        return Path(location.decode()).read_bytes()
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a source that is a package in a folder of the plug-in path."""
    monkeypatch.setenv(PATH_VARIABLE, "")
    folder = tmp_path / "installed"
    info = folder / "toy_source-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "toy_source.py").write_text(SOURCE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-source\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tunesmith.sources]\nlisted = toy_source:Listed\n")
    set_plugin_path([folder])
    yield "listed"
    set_plugin_path([])
    sys.modules.pop("toy_source", None)


@pytest.fixture
def listing(tmp_path: Path, write_scale: WriteScale) -> Path:
    """A text file that lists twelve songs and one that the source cannot read."""
    paths = [write_scale(tmp_path / "songs" / f"{n}.mid", 50 + n, 20 + n) for n in range(12)]
    listing = tmp_path / "songs.txt"
    listing.write_text("\n".join(map(str, [*paths, tmp_path / "odd.mid"])))
    return listing


@pytest.mark.parametrize("name", ["listed", "toy_source:Listed"])
def test_a_source_of_the_user_reads_in_every_process(
    plugin: str, listing: Path, tmp_path: Path, name: str
) -> None:
    assert plugin in source_names()
    songs = list_songs(listing, name)
    with ReadAhead(songs, READING, 2) as ahead:
        found = list(ahead.results())
    assert len(found) == 13
    rejected = [each[1:] for each in found if each.song_id.endswith(b"odd.mid")]
    assert rejected == [("unreadable", "RuntimeError: an odd song")]
    output = tmp_path / "output"
    output.mkdir()
    workers = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
    options = ("--runner=FnApiRunner", *workers)
    counters = run_preprocess(Reading(songs, READING, options, None), output, TransformParameters())
    assert (counters["songs_read"], counters["rejected_unreadable"]) == (12, 1)


def test_a_worker_finds_the_source_by_the_path_that_travels_with_it(
    plugin: str, listing: Path
) -> None:
    packed = pickle.dumps(list_songs(listing, plugin).source).hex()
    code = (
        f"import pickle; source = pickle.loads(bytes.fromhex({packed!r})).open(); "
        "print(len(list(source.files())))"
    )
    environment = {name: value for name, value in os.environ.items() if name != PATH_VARIABLE}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "13\n"


def test_the_artifact_of_a_users_source_names_its_code(plugin: str, listing: Path) -> None:
    artifact = read_source(listing, plugin)
    assert artifact.modules() == ("toy_source",)
    assert type(artifact).__name__ == "SongFiles"


@pytest.mark.usefixtures("plugin")
def test_what_is_no_source_is_refused(listing: Path) -> None:
    with pytest.raises(PluginError, match="toy_source:Path is not a source: it must be a class"):
        list_songs(listing, "toy_source:Path")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent", "absent is not a folder or an archive: give a folder"),
        ("song.mid", "song.mid is a single file: give its folder"),
        ("song.doc", "song.doc is neither a folder nor an archive"),
        (
            "scores",
            "but 2 scores: set example_gen.source to scores (pip",
        ),
    ],
)
def test_a_path_that_fits_no_source_is_one_line(tmp_path: Path, name: str, message: str) -> None:
    for each in ("song.mid", "song.doc", "scores/a.musicxml", "scores/b.abc"):
        (tmp_path / each).parent.mkdir(exist_ok=True)
        (tmp_path / each).write_text("")
    with pytest.raises(NoSongs) as caught:
        list_songs(tmp_path / name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
