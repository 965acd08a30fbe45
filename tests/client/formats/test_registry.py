"""The format of a file follows from its suffix: a built-in one, a plug-in or one of one's own."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from PIL import Image

from tunesmith.client import BadOption, CannotWrite, Song, UnknownFormat
from tunesmith.client.formats.registry import BUILT_IN, format_of, load_format
from tunesmith.music import Frame
from tunesmith.plugins import set_plugin_path

MELODY: tuple[Frame, ...] = ((60,), (60,), (), (67,), (66,), (60, 64, 67), (60, 64, 67), ())
SONG = Song(MELODY, 5.0)

# An ABC-like text format, as a user writes one.
PLUGIN = """
class Text:
    name = "text"
    suffixes = (".txt",)
    library = None

    def write(self, song, file):
        file.write(" ".join("+".join(map(str, frame)) or "-" for frame in song.frames).encode())


class Failing(Text):
    suffixes = (".fail",)

    def write(self, song, file):
        file.write(b"half of it")
        raise RuntimeError("no more")


class Capital(Text):
    suffixes = (".TXT",)


class Choosy(Text):
    def __init__(self, width):
        pass


nameless = object()
"""


@pytest.fixture
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder on the plug-in path with the module ``own_formats``."""
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "own_formats.py").write_text(PLUGIN, encoding="utf-8")
    set_plugin_path([folder])
    yield folder
    set_plugin_path([])
    for name in ("own_formats", "first_format", "second_format"):
        sys.modules.pop(name, None)


def install(folder: Path, package: str, suffix: str) -> None:
    """Put an installed package with one format into a folder."""
    (folder / f"{package}.py").write_text(
        PLUGIN.replace('(".txt",)', repr((suffix,))), encoding="utf-8"
    )
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[tunesmith.formats]\n{package} = {package}:Text\n")


def test_each_suffix_has_its_format_in_upper_and_lower_case() -> None:
    names = {suffix: each.name for each in BUILT_IN for suffix in each.suffixes}
    assert names == {
        ".mid": "MIDI",
        ".midi": "MIDI",
        ".png": "PNG",
        ".wav": "WAV",
        ".html": "HTML",
        ".json": "JSON",
        ".musicxml": "MusicXML",
    }
    for suffix, name in names.items():
        assert format_of(f"folder.x/song{suffix}").name == name
        assert format_of(f"song{suffix.upper()}").name == name


@pytest.mark.parametrize("name", ["song.mid3", "song", "song.", ".mid", "song.mid.gz"])
def test_an_unknown_suffix_is_refused_with_the_known_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnknownFormat, match=r"choose \.mid, .*\.json or \.musicxml") as caught:
        SONG.save(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        (".midi", lambda song, path: song.write(path)),
        (".png", lambda song, path: path.write_bytes(song.picture())),
        (".wav", lambda song, path: path.write_bytes(song.sound())),
        (".html", lambda song, path: path.write_text(song.player(), encoding="utf-8")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_saved_file_is_what_the_method_of_its_own_makes(
    tmp_path: Path, suffix: str, content: Callable[[Song, Path], None]
) -> None:
    played = SONG.played(program=40, velocity=70, tempo=100.0, frames_per_second=4.0)
    SONG.save(tmp_path / f"a{suffix}", program=40, velocity=70, tempo=100.0, frames_per_second=4.0)
    content(played, tmp_path / "b")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_format_can_be_given_whatever_the_suffix(tmp_path: Path) -> None:
    SONG.save(tmp_path / "roll.dat", format=format_of("x.png"))
    with Image.open(tmp_path / "roll.dat") as image:
        assert image.format == "PNG"


@pytest.mark.parametrize("suffix", [each.suffixes[0] for each in BUILT_IN])
def test_what_no_file_can_hold_is_refused_in_every_format(tmp_path: Path, suffix: str) -> None:
    for playing in ({"program": 128}, {"velocity": 0}, {"tempo": 2.0}, {"frames_per_second": 0.0}):
        with pytest.raises(BadOption, match=r"\d"):
            SONG.save(tmp_path / f"song{suffix}", **playing)  # type: ignore[arg-type]
    with pytest.raises(CannotWrite):
        SONG.save(tmp_path / "absent" / f"song{suffix}")
    assert not list(tmp_path.iterdir())


class Own:
    name = "lengths"
    suffixes = (".mid",)
    library = None

    def write(self, song: Song, file: BinaryIO) -> None:
        file.write(str(len(song.frames)).encode())


def test_a_format_of_ones_own_comes_before_a_built_in_one() -> None:
    content = io.BytesIO()
    format_of("song.mid", [Own()]).write(SONG, content)
    assert content.getvalue() == b"8"


@pytest.mark.usefixtures("plugins")
def test_a_format_of_ones_own_is_loaded_from_the_plugin_path(tmp_path: Path) -> None:
    own = load_format("own_formats:Text")
    SONG.save(tmp_path / "song.txt", format=own)
    assert (tmp_path / "song.txt").read_text() == "60 60 - 67 66 60+64+67 60+64+67 -"
    assert format_of("song.txt", [own]) is own
    with pytest.raises(UnknownFormat, match=r"or \.txt|choose"):
        format_of("song.txt")


@pytest.mark.usefixtures("plugins")
def test_a_format_that_fails_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        SONG.save(tmp_path / "song.fail", format=load_format("own_formats:Failing"))
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("plugins")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("own_formats:Nothing", "has no Nothing"),
        ("own_formats:nameless", "it has no name and no suffixes and no library and no write"),
        ("own_formats:Capital", "in lower case"),
        ("own_formats:Choosy", "without arguments"),
        ("absent_module:Text", "absent_module"),
        ("absent", "no installed package has"),
    ],
)
def test_what_is_no_format_is_refused_in_one_line(name: str, words: str) -> None:
    with pytest.raises(BadOption, match=words) as caught:
        load_format(name)
    assert "\n" not in str(caught.value)


def test_an_installed_format_is_found_by_its_suffix(plugins: Path, tmp_path: Path) -> None:
    install(plugins, "first_format", ".notes")
    SONG.save(tmp_path / "song.notes")
    assert (tmp_path / "song.notes").read_text().startswith("60 60 -")
    with pytest.raises(UnknownFormat, match=r"\.musicxml or \.notes"):
        SONG.save(tmp_path / "song.other")
    install(plugins, "second_format", ".notes")
    with pytest.raises(UnknownFormat, match="first_format and second_format"):
        SONG.save(tmp_path / "song.notes")
